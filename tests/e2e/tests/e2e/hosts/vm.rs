//! A host: a VM that QEMU emulates, on a throw-away copy of a disk that `ci/hosts` made. It ends with the test.

use std::fs;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use camino::{Utf8Path, Utf8PathBuf};
use harness::wait::{Wait, until};
use provisioner::exec::environment::OURS;
use provisioner::exec::{Background, Command, CommandError, Failure, Local, Login, OverSsh, Runner};
use provisioner::slowdown::Slowdown;
use tokio::signal::unix::{SignalKind, signal};

use super::media;

/// How much longer everything takes than on a real CPU.
const SLOWER: Slowdown = Slowdown::EMULATED;
/// How long a command may take on a real CPU. The slowest commands bring a cluster up or audit two.
const USUAL: Duration = Duration::from_secs(360);
/// Prints an ID that changes with every boot.
const BOOT: &str = "cat /proc/sys/kernel/random/boot_id";

/// A booted host.
pub(super) struct Vm {
    release: &'static str,
    runner: OverSsh,
    _qemu: Background,
}

impl Vm {
    /// Boots a host of a Debian release that has the program and can mount its assets. Ends it after `work`, whatever
    /// its result.
    pub(super) async fn with(
        release: &'static str,
        work: impl AsyncFnOnce(&Self) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let folder = Utf8PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("host");
        // A killed test may have left it.
        discard(&folder)?;
        fs::create_dir_all(&folder)?;
        let mut terminated = signal(SignalKind::terminate())?;
        let outcome = tokio::select! {
            outcome = async { work(&Self::boot(release, &folder).await?).await } => outcome,
            _ = terminated.recv() => Err(anyhow::anyhow!("terminated")),
        };
        outcome.and(discard(&folder))
    }

    async fn boot(release: &'static str, folder: &Utf8Path) -> anyhow::Result<Self> {
        let script = Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ci/hosts");
        let made = Command::within(Duration::from_secs(1200), script).arg(release);
        let made = Local.run(&made.keeping(OURS.iter().copied())).await?.text();
        let host = Utf8Path::new(made.trim());
        let (disk, key) = (folder.join("disk.qcow2"), folder.join("key"));
        let copy = Command::within(Duration::from_secs(30), "qemu-img").args(["create", "-q", "-f", "qcow2"]);
        Local.run(&copy.args(["-F", "raw", "-b", host.join("disk.raw").as_str(), disk.as_str()])).await?;
        let key_pair = Command::within(Duration::from_secs(30), "ssh-keygen").args(["-q", "-t", "ed25519"]);
        Local.run(&key_pair.args(["-N", "", "-C", "test", "-f", key.as_str()])).await?;
        let public = fs::read_to_string(format!("{key}.pub"))?;
        let media = [media::program(folder).await?, media::assets().await?];
        let console = folder.join("console");
        let qemu = qemu(host, &disk, &media, public.trim(), &console);
        let login = Login {
            user: "root".to_owned(),
            address: Ipv4Addr::LOCALHOST,
            key,
            known_hosts: folder.join("known_hosts"),
            shared: "/run/host.ssh".into(), // `ci/alone` gives the test a separate /run
        };
        let vm = Self {
            release,
            runner: OverSsh::new("the host", login, SLOWER, Arc::new(Local)),
            _qemu: Background::start(&qemu)?,
        };
        vm.boots_after("").await.with_context(|| {
            let text = fs::read_to_string(&console).unwrap_or_default();
            let last: Vec<&str> = text.lines().rev().take(20).collect();
            format!("its console says, the last line first:\n{}", last.join("\n"))
        })?;
        vm.sh("mount -o ro /dev/disk/by-label/program /mnt && install /mnt/homelab /usr/local/bin && umount /mnt")
            .await?;
        Ok(vm)
    }

    pub(super) fn release(&self) -> &'static str {
        self.release
    }

    /// Runs a shell script as root, which must succeed.
    pub(super) async fn sh(&self, script: &str) -> anyhow::Result<String> {
        Ok(self.runner.run(&Command::within(USUAL, "sh").args(["-c", script])).await?.text())
    }

    /// Runs the program as root, which must succeed.
    pub(super) async fn homelab(&self, args: &str) -> anyhow::Result<String> {
        Ok(self.runner.run(&homelab(args)).await?.text())
    }

    /// Runs the program as root, which must end with this code, and returns its output and errors.
    pub(super) async fn refusal(&self, code: i32, args: &str) -> anyhow::Result<String> {
        let Err(error) = self.runner.run(&homelab(args)).await else { bail!("homelab {args} ends with 0") };
        match error.failure {
            Failure::Status { code: Some(found), stdout, stderr, .. } if found == code => {
                Ok(format!("{stdout}{stderr}"))
            }
            failure => bail!("homelab {args} ends in another way: {failure}"),
        }
    }

    /// Reboots the host, and waits until it has booted.
    pub(super) async fn reboot(&self) -> anyhow::Result<()> {
        let before = self.sh(BOOT).await?.trim().to_owned();
        self.sh("systemctl --no-block reboot").await?;
        self.boots_after(&before).await
    }

    /// Waits until systemd has started everything, in a boot with another ID than `before`.
    async fn boots_after(&self, before: &str) -> anyhow::Result<()> {
        let ask = Command::within(Duration::from_secs(5), "sh")
            .args(["-c", &format!("{BOOT}; systemctl is-system-running || :")]);
        until("the host to boot", SLOWER.stretch(Duration::from_secs(30)), async || {
            Ok::<_, CommandError>(match self.runner.run(&ask).await.map(|output| output.text()) {
                Ok(said) if said.ends_with("running\n") && said.lines().next() != Some(before) => {
                    Wait::Done(())
                }
                Ok(said) => Wait::NotYet(said),
                Err(error) => Wait::NotYet(error.to_string()),
            })
        })
        .await?;
        Ok(())
    }
}

/// QEMU loads the kernel itself, so the disk needs no boot loader. `restrict` isolates the VM's network: the VM can
/// only answer on the one forwarded port.
fn qemu(host: &Utf8Path, disk: &Utf8Path, media: &[Utf8PathBuf], key: &str, console: &Utf8Path) -> Command {
    // `tsc=reliable`: all emulated CPUs read one counter of the host. Without the option, Linux would distrust the
    // counters and read each time from the HPET, a device that takes microseconds to answer. `mitigations=off`:
    // mitigations cost time and protect nothing on an emulated CPU. The key of root's SSH login is a credential:
    // systemd.exec(5), and systemd's tmpfiles.d/provision.conf.
    let kernel = format!(
        "root=/dev/vda rw console=ttyS0 quiet tsc=reliable mitigations=off \
         \"systemd.set_credential=ssh.authorized_keys.root:{key}\""
    );
    let [kernel_file, initrd] = ["vmlinuz", "initrd.img"].map(|name| host.join(name).to_string());
    let drives = media
        .iter()
        .flat_map(|disk| ["-drive".to_owned(), format!("file={disk},format=raw,if=virtio,readonly=on")]);
    Command::within(Duration::MAX, "setpriv")
        // QEMU ends with the test, even if the test is killed.
        .args([
            "--pdeathsig",
            "KILL",
            "qemu-system-x86_64",
            "-nodefaults",
            "-no-user-config",
            "-display",
            "none",
        ])
        .args(["-accel", "tcg,thread=multi", "-cpu", "max,la57=off", "-smp", "2", "-m", "6144"])
        .args(["-kernel", &kernel_file, "-initrd", &initrd, "-append", &kernel])
        .args(["-serial", &format!("file:{console}"), "-device", "virtio-rng-pci"])
        .args(["-drive", &format!("file={disk},format=qcow2,if=virtio,cache=unsafe,discard=unmap")])
        .args(drives)
        .args(["-netdev", "user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:22-:22"])
        .args(["-device", "virtio-net-pci,netdev=net"])
}

fn homelab(args: &str) -> Command {
    Command::within(USUAL, "homelab").args(args.split_whitespace())
}

/// Removes a folder, if it exists.
fn discard(folder: &Utf8Path) -> anyhow::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}
