//! Injections between VMs: devices that the hypervisor attaches to running VMs of both clusters, and changed ids and
//! keys.
//!
//! Devices are attached with `virsh`. VirtualBox attaches none to a running VM.

use std::time::Duration;

use camino::Utf8PathBuf;
use provisioner::exec::Command;
use provisioner::slowdown::Slowdown;

use super::cable::last;
use super::changes::{Changes, command};
use super::switch::Switch;
use super::{InjectError, Pair};
use crate::cluster::{TestCluster, TestNode};
use crate::wait::{self, Wait};

/// The deadline for a VM's kernel to find an attached device, or to release it. Stretched where nodes are slow.
const TIMEOUT: Duration = Duration::from_secs(60);
/// The MAC address of the injected adapter, in QEMU's range.
const MAC: &str = "52:54:00:68:6c:05";
/// The name of the injected disk in the VMs.
const DISK: &str = "vdz";

/// A `virsh` command.
pub(super) fn virsh(words: &[&str]) -> Command {
    command("virsh", &[&["--connect", "qemu:///system"], words].concat())
}

/// The name of a node's libvirt domain.
pub(super) fn domain(of: &TestCluster, node: &TestNode) -> String {
    of.inner().plan.id.node_scope(node.real_name())
}

/// Attaches a network adapter on the target's bridge to a node of the source, and returns the link's name in the node.
pub(super) async fn adapter(
    pair: &Pair<'_>,
    changes: &mut Changes,
    node: &TestNode,
) -> Result<String, InjectError> {
    let machine = domain(pair.from, node);
    let bridge = Switch::of(&pair.to.inner().plan).bridge;
    let words = |verb| [verb, machine.as_str(), "bridge"];
    let given =
        [&words("attach-interface")[..], &[&bridge, "--model", "virtio", "--mac", MAC, "--live"]].concat();
    let taken = [&words("detach-interface")[..], &["--mac", MAC, "--live"]].concat();
    let slowdown = pair.from.slowdown();
    attach((changes, slowdown), &virsh(&given), virsh(&taken), (virsh(&["domiflist", &machine]), MAC))
        .await?;
    let find = command("sh", &["-c", "cd /sys/class/net && grep --files-with-matches \"$0\" */address", MAC]);
    let link = seen((pair.from, node), "an adapter", &find).await?;
    Ok(link.split('/').next().unwrap_or(&link).to_owned())
}

/// Waits until the command `find` prints something on a node, because its kernel has found the device `what`. Returns
/// the output.
pub(super) async fn seen(
    (of, node): (&TestCluster, &TestNode),
    what: &str,
    find: &Command,
) -> Result<String, InjectError> {
    let slowdown = of.slowdown();
    let seen =
        wait::until(format!("{what} in {}", node.real_name()), slowdown.stretch(TIMEOUT), async || {
            let found = node.run(find).await.map(|found| found.text().trim().to_owned());
            Ok::<_, InjectError>(match found {
                Ok(found) if !found.is_empty() => Wait::Done(found),
                _ => Wait::NotYet("the kernel has not found it".to_owned()),
            })
        });
    seen.await.map_err(|source| InjectError::Carrier(Box::new(source)))
}

/// Attaches a device with the command `given`, and detaches it with `taken` in the undo. Then the undo waits until the
/// output of `list` does not contain `what`: a VM's kernel takes some time to release a device.
pub(super) async fn attach(
    (changes, slowdown): (&mut Changes, Slowdown),
    given: &Command,
    taken: Command,
    (list, what): (Command, &'static str),
) -> Result<(), InjectError> {
    let host = changes.host();
    changes.undos.push(format!("wait until {what} is detached"), move || {
        let (host, list) = (host.clone(), list.clone());
        async move {
            wait::until(format!("{what} to be detached"), slowdown.stretch(TIMEOUT), async || {
                let listed = host.run(&list).await?.text();
                Ok::<_, InjectError>(if listed.contains(what) {
                    Wait::NotYet(listed)
                } else {
                    Wait::Done(())
                })
            })
            .await
        }
    });
    changes.on_host(given, taken).await
}

/// Attaches one writable disk to a VM of each cluster.
pub(super) async fn disk(pair: &Pair<'_>, changes: &mut Changes) -> Result<(), InjectError> {
    let both = both(pair)?;
    let image = beside_its_disk(pair, changes, &both[0]).await?;
    changes.make(&image, |path| std::fs::File::create(path)?.set_len(1 << 20))?;
    for machine in &both {
        let given = ["attach-disk", machine, image.as_str(), DISK, "--mode", "shareable", "--driver", "qemu"];
        let given = [&given[..], &["--subdriver", "raw", "--live"]].concat();
        let taken = virsh(&["detach-disk", machine, DISK, "--live"]);
        let slowdown = pair.from.slowdown().max(pair.to.slowdown());
        attach((changes, slowdown), &virsh(&given), taken, (virsh(&["domblklist", machine]), DISK)).await?;
    }
    Ok(())
}

/// The libvirt domains of the last node of each cluster.
fn both(pair: &Pair<'_>) -> Result<[String; 2], InjectError> {
    Ok([domain(pair.from, last(pair.from)?), domain(pair.to, last(pair.to)?)])
}

/// A path in the folder of a VM's own disk, where its hypervisor may read and write.
async fn beside_its_disk(
    pair: &Pair<'_>,
    changes: &Changes,
    machine: &str,
) -> Result<Utf8PathBuf, InjectError> {
    let listed = changes.ask(&virsh(&["domblklist", machine])).await?;
    let disk = listed.split_whitespace().find(|word| word.starts_with('/')).map(Utf8PathBuf::from);
    let folder = disk.as_ref().and_then(|disk| disk.parent());
    let missing = || InjectError::Missing { what: "a disk", cluster: pair.from.name().to_owned() };
    Ok(folder.ok_or_else(missing)?.join(format!("{machine}.injected.img")))
}

/// Mounts one folder of one server in a VM of each cluster. There is no server: the audit compares mount tables, which
/// name server and folder.
pub(super) async fn mount(pair: &Pair<'_>, changes: &mut Changes) -> Result<(), InjectError> {
    const THERE: &str = "mkdir -p /mnt/injected && mount --internal-only --types fuse.sshfs --options \
                         fd=3,rootmode=40000,user_id=0,group_id=0 injected:/srv/both /mnt/injected 3<>/dev/fuse";
    const BACK: &str = "umount --lazy /mnt/injected 2>/dev/null; rmdir /mnt/injected";
    for node in [last(pair.from)?, last(pair.to)?] {
        changes.on_node(node, &command("sh", &["-c", THERE]), command("sh", &["-c", BACK])).await?;
    }
    Ok(())
}

/// A node of the source shows the boot id of a node of the target, as if both ran on one kernel.
pub(super) async fn kernel(pair: &Pair<'_>, changes: &mut Changes) -> Result<(), InjectError> {
    const THERE: &str = "cat > /run/injected-boot-id && \
                         mount --bind /run/injected-boot-id /proc/sys/kernel/random/boot_id";
    const BACK: &str = "umount /proc/sys/kernel/random/boot_id; rm -f /run/injected-boot-id";
    let theirs = last(pair.to)?.read("/proc/sys/kernel/random/boot_id").await?;
    let there = command("sh", &["-c", THERE]).input(theirs);
    changes.on_node(last(pair.from)?, &there, command("sh", &["-c", BACK])).await
}

/// A node of the target accepts an SSH key of the source.
pub(super) async fn key(pair: &Pair<'_>, changes: &mut Changes) -> Result<(), InjectError> {
    const FIND: &str = "ls /root/.ssh/authorized_keys /home/*/.ssh/authorized_keys 2>/dev/null | head -n 1";
    let missing = |what, of: &TestCluster| InjectError::Missing { what, cluster: of.name().to_owned() };
    let known = pair.source.nodes.iter().find_map(|node| node.machine.as_ref()?.lets_in.first());
    let known = known.ok_or_else(|| missing("an accepted SSH key", pair.from))?.clone();
    let node = last(pair.to)?;
    let file = node.run(&command("sh", &["-c", FIND])).await?.text().trim().to_owned();
    if file.is_empty() {
        return Err(missing("a file authorized_keys", pair.to));
    }
    changes.edit_on(node, &file, |keys| format!("{}\n{known} injected\n", keys.trim_end())).await
}
