//! A line between two machines, from a port of the one to a port of the other.
//!
//! QEMU itself is asked: libvirt gives a port to a machine that runs only where there was one before. Words are those of
//! QEMU's documentation, "QEMU QMP Reference Manual".

use provisioner::exec::Command;
use serde_json::{Value, json};

use super::cable::last;
use super::deeds::{Deeds, command};
use super::machines::{domain, lend, seen, virsh};
use super::{Ground, InjectError};
use crate::cluster::TestCluster;

/// What the port is called, in a machine as in its QEMU.
const PORT: &str = "homelab.injected";
/// What it is plugged into.
const BUS: &str = "homelab-injected";

/// A port of one name in a machine of each: what one writes, the other reads.
pub(super) async fn line(ground: &Ground<'_>, deeds: &mut Deeds) -> Result<(), InjectError> {
    // The first end listens on the loopback, at any port that is free; the second calls there.
    let ends = plug(ground.from, socket("0", true), deeds).await?;
    let cluster = ground.from.name().to_owned();
    let missing = InjectError::Missing { what: "the end of a line that listens", cluster };
    let port = listens_at(&ends).ok_or(missing)?;
    plug(ground.to, socket(&port, false), deeds).await.map(drop)
}

/// Gives the last machine of a cluster the port with this behind it, and returns what its QEMU then says of such ends.
async fn plug(of: &TestCluster, backend: Value, deeds: &mut Deeds) -> Result<String, InjectError> {
    let node = last(of)?;
    let machine = &domain(of, node);
    let end = json!({ "id": PORT, "backend": backend });
    let gone = qemu(machine, "chardev-remove", &json!({ "id": PORT }));
    deeds.on_host(&qemu(machine, "chardev-add", &end), gone).await?;
    let bus = json!({ "driver": "virtio-serial-pci", "id": BUS });
    let unplug = qemu(machine, "device_del", &json!({ "id": BUS }));
    let tree = virsh(&["qemu-monitor-command", machine, "--hmp", "info qtree"]);
    lend((deeds, of.slowdown()), &qemu(machine, "device_add", &bus), unplug, (tree, BUS)).await?;
    let port =
        json!({ "driver": "virtserialport", "bus": format!("{BUS}.0"), "chardev": PORT, "name": PORT });
    deeds.ask(&qemu(machine, "device_add", &port)).await?;
    let find = "grep --line-regexp \"$0\" /sys/class/virtio-ports/*/name";
    seen((of, node), "a port", &command("sh", &["-c", find, PORT])).await?;
    deeds.ask(&qemu(machine, "query-chardev", &json!({}))).await
}

fn qemu(machine: &str, execute: &str, arguments: &Value) -> Command {
    let words = json!({ "execute": execute, "arguments": arguments }).to_string();
    virsh(&["qemu-monitor-command", machine, "--return-value", &words])
}

/// One end of a TCP connection within the workstation.
fn socket(port: &str, server: bool) -> Value {
    let address = json!({ "type": "inet", "data": { "host": "127.0.0.1", "port": port } });
    let mut data = json!({ "addr": address, "server": server });
    if server {
        // QEMU would stand still until somebody calls.
        data["wait"] = json!(false);
    }
    json!({ "type": "socket", "data": data })
}

/// Where the end listens that was made first: `disconnected:tcp:127.0.0.1:40123,server=on`.
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
    fn the_second_end_calls_where_the_first_one_listens() {
        let ends = r#"[{"frontend-open": true, "filename": "unix:/run/monitor,server=on", "label": "charmonitor"},
            {"frontend-open": false, "filename": "disconnected:tcp:127.0.0.1:40123,server=on", "label": "homelab.injected"}]"#;
        assert_eq!(listens_at(ends).as_deref(), Some("40123"));
        assert_eq!(listens_at(&ends.replace(",server=on", "")), None);
    }
}
