//! Devices of a node or host, from sysfs: network adapters, and devices that connect a VM to its hypervisor.

use std::fs;
use std::path::Path;

/// `eth0 on virtio1`: a line for each link that has a hardware or virtio device. Virtual links (veth, bridge, tunnel)
/// have none (Documentation/ABI/testing/sysfs-class-net).
pub(super) fn links() -> Vec<String> {
    adapters(Path::new("/sys/class/net"))
}

/// `port org.qemu.guest_agent.0`, `vsock virtio4`: a line for each device over which a hypervisor and its guest
/// communicate (VIRTIO 1.2, sections 5.3 and 5.10).
pub(super) fn to_a_hypervisor() -> Vec<String> {
    let mut lines = ports(Path::new("/sys/class/virtio-ports"));
    lines.extend(sockets(Path::new("/sys/bus/virtio/drivers/vmw_vsock_virtio_transport")));
    lines
}

fn adapters(class: &Path) -> Vec<String> {
    let line = |name: String| {
        let device = fs::read_link(class.join(&name).join("device")).ok()?;
        Some(format!("{name} on {}", device.file_name()?.to_str()?))
    };
    names(class).into_iter().filter_map(line).collect()
}

/// The ports by name. A port without a name is listed by its file name, such as `vport1p2`.
fn ports(class: &Path) -> Vec<String> {
    let line = |port: String| {
        let name = fs::read_to_string(class.join(&port).join("name")).unwrap_or_default();
        let name = Some(name.trim()).filter(|name| !name.is_empty());
        format!("port {}", name.unwrap_or(&port))
    };
    names(class).into_iter().map(line).collect()
}

fn sockets(driver: &Path) -> Vec<String> {
    let devices = names(driver).into_iter().filter(|name| name.starts_with("virtio"));
    devices.map(|device| format!("vsock {device}")).collect()
}

/// Names of the folder's entries; none if the folder does not exist, because then no such device exists.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn adapters_are_links_with_a_device_and_ports_go_by_their_names() {
        let sys = tempfile::tempdir().unwrap();
        let at = |path: &str| sys.path().join(path);
        for path in ["net/eth0", "net/veth1", "ports/vport1p1", "ports/vport1p2", "driver/virtio4"] {
            fs::create_dir_all(at(path)).unwrap();
        }
        symlink("../../../virtio1", at("net/eth0/device")).unwrap();
        fs::write(at("ports/vport1p1/name"), "org.qemu.guest_agent.0\n").unwrap();
        fs::write(at("driver/bind"), "").unwrap();
        assert_eq!(adapters(&at("net")), ["eth0 on virtio1"]);
        let mut found = ports(&at("ports"));
        found.sort();
        assert_eq!(found, ["port org.qemu.guest_agent.0", "port vport1p2"]);
        assert_eq!(sockets(&at("driver")), ["vsock virtio4"]);
        assert_eq!(ports(&at("nothing")), [""; 0]);
    }
}
