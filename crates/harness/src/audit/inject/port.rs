//! A virtio serial line between two VMs, from a port of the first to a port of the second.
//!
//! The commands go to QEMU itself, because libvirt adds such a port to a running VM only where the VM already has one.
//! See "QEMU QMP Reference Manual".

use provisioner::exec::Command;
use serde_json::{Value, json};

use super::cable::last;
use super::changes::{Changes, command};
use super::vms::{attach, domain, seen, virsh};
use super::{InjectError, Pair};
use crate::cluster::TestCluster;

/// The port's name, in the VM and in its QEMU.
const PORT: &str = "homelab.injected";
/// The name of the serial controller that has the port.
const BUS: &str = "homelab-injected";

/// Adds a port of the same name to a VM of each cluster, and connects both ports.
pub(super) async fn line(pair: &Pair<'_>, changes: &mut Changes) -> Result<(), InjectError> {
    // The first end listens on a free TCP port of the host's loopback; the second one connects to it.
    let ends = plug(pair.from, socket("0", true), changes).await?;
    let cluster = pair.from.name().to_owned();
    let missing = InjectError::Missing { what: "the listening end of the serial line", cluster };
    let port = listens_at(&ends).ok_or(missing)?;
    plug(pair.to, socket(&port, false), changes).await.map(drop)
}

/// Adds the port with this backend to the last VM of a cluster, and returns its QEMU's list of backends
/// (`query-chardev`).
async fn plug(of: &TestCluster, backend: Value, changes: &mut Changes) -> Result<String, InjectError> {
    let node = last(of)?;
    let machine = &domain(of, node);
    let end = json!({ "id": PORT, "backend": backend });
    let gone = qemu(machine, "chardev-remove", &json!({ "id": PORT }));
    changes.on_host(&qemu(machine, "chardev-add", &end), gone).await?;
    let bus = json!({ "driver": "virtio-serial-pci", "id": BUS });
    let unplug = qemu(machine, "device_del", &json!({ "id": BUS }));
    let tree = virsh(&["qemu-monitor-command", machine, "--hmp", "info qtree"]);
    attach((changes, of.slowdown()), &qemu(machine, "device_add", &bus), unplug, (tree, BUS)).await?;
    let port =
        json!({ "driver": "virtserialport", "bus": format!("{BUS}.0"), "chardev": PORT, "name": PORT });
    changes.ask(&qemu(machine, "device_add", &port)).await?;
    let find = "grep --line-regexp \"$0\" /sys/class/virtio-ports/*/name";
    seen((of, node), "a port", &command("sh", &["-c", find, PORT])).await?;
    changes.ask(&qemu(machine, "query-chardev", &json!({}))).await
}

fn qemu(machine: &str, execute: &str, arguments: &Value) -> Command {
    let words = json!({ "execute": execute, "arguments": arguments }).to_string();
    virsh(&["qemu-monitor-command", machine, "--return-value", &words])
}

/// The backend for one end of a TCP connection on the host's loopback. Pure.
fn socket(port: &str, server: bool) -> Value {
    let address = json!({ "type": "inet", "data": { "host": "127.0.0.1", "port": port } });
    let mut data = json!({ "addr": address, "server": server });
    if server {
        // Otherwise QEMU blocks until the other end connects.
        data["wait"] = json!(false);
    }
    json!({ "type": "socket", "data": data })
}

/// The TCP port of the listening end, from a `filename` such as `disconnected:tcp:127.0.0.1:40123,server=on`. Pure.
fn listens_at(ends: &str) -> Option<String> {
    let ends: Vec<Value> = serde_json::from_str(ends).ok()?;
    let end = ends.iter().find(|end| end["label"] == PORT)?;
    let (address, _) = end["filename"].as_str()?.split_once(",server=on")?;
    address.rsplit(':').next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_where_the_first_end_listens_is_read_from_the_monitors_answer() {
        let ends = r#"[{"frontend-open": true, "filename": "unix:/run/monitor,server=on", "label": "charmonitor"},
            {"frontend-open": false, "filename": "disconnected:tcp:127.0.0.1:40123,server=on", "label": "homelab.injected"}]"#;
        assert_eq!(listens_at(ends).as_deref(), Some("40123"));
        assert_eq!(listens_at(&ends.replace(",server=on", "")), None);
    }
}
