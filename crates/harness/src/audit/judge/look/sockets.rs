//! Compares sockets: a socket file that both sides can open leads both to the same service.

use std::collections::BTreeMap;

use crate::audit::verdict::Judgement;

/// Sockets of services that control the host. A container node has none of them itself.
const MASTERS: [&str; 5] =
    ["docker.sock", "podman.sock", "libvirt-sock", "virtqemud-sock", "dbus/system_bus_socket"];

/// A line of [`Sight::Sockets`](probe::Sight::Sockets).
enum Socket<'a> {
    /// `8:1 40 /run/a.sock /run`: device, inode, path, mount point.
    File { path: &'a str, point: &'a str },
    /// `abstract 41 @name`: it belongs to a network namespace (unix(7)).
    Abstract,
    /// `port org.qemu.guest_agent.0`, `vsock virtio4`: a device that leads to a hypervisor. Nodes on one kernel see the
    /// host's own device.
    Device,
}

/// Ports through which a hypervisor itself talks to each of its VMs, and which it keeps separate.
const ITS_OWN: [&str; 2] = ["org.qemu.guest_agent.0", "com.redhat.spice.0"];

/// The identity of a socket, and its kind; `None` for a line that is not a socket.
fn read(line: &str) -> Option<((&str, &str), Socket<'_>)> {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words[..] {
        ["abstract", inode, ..] => Some((("abstract", inode), Socket::Abstract)),
        [kind @ ("port" | "vsock"), name] => Some(((kind, name), Socket::Device)),
        [device, inode, path, point] if device.contains(':') => {
            Some(((device, inode), Socket::File { path, point }))
        }
        _ => None,
    }
}

/// Judges the sockets of two nodes on one kernel. A socket of the target is a leak, and so is one that controls the
/// host. A socket file that is a mount point has an unknown owner, because nodes have no such mounts.
pub(super) fn judge(here: &[String], there: &[String]) -> Judgement {
    let all = |lines: &[String]| lines.iter().all(|line| read(line).is_some());
    if !all(here) || !all(there) {
        return Judgement::inconclusive("the inspection returned a line that is not a socket");
    }
    let others: BTreeMap<_, &String> = there.iter().filter_map(|line| Some((read(line)?.0, line))).collect();
    let mut unknown = None;
    for line in here {
        let Some((key, socket)) = read(line) else { continue };
        if let Socket::Device = socket {
            continue;
        }
        if let Some(other) = others.get(&key) {
            return Judgement::leak(format!("{line} is the target's socket {other}"));
        }
        if let Socket::File { path, point } = socket {
            if MASTERS.iter().any(|name| path.ends_with(name)) {
                return Judgement::leak(format!("this socket controls the host: {line}"));
            }
            if path == point {
                unknown = Some(line);
            }
        }
    }
    match unknown {
        Some(line) => Judgement::inconclusive(format!("the owner of this socket is unknown: {line}")),
        None => Judgement::isolated(format!(
            "{} sockets at the source, {} at the target, none in common",
            here.len(),
            there.len()
        )),
    }
}

/// Judges the sockets of two nodes on different kernels. A socket file never leads to another kernel (unix(7)), even
/// where it is mounted. Ports and vsocks of VMs lead to the hypervisor, which may connect them to anything.
pub(super) fn across(here: &[String], there: &[String]) -> Judgement {
    let all = |lines: &[String]| lines.iter().all(|line| read(line).is_some());
    if !all(here) || !all(there) {
        return Judgement::inconclusive("the inspection returned a line that is not a socket");
    }
    let device = |line: &&String| match read(line) {
        Some(((_, name), Socket::Device)) => !ITS_OWN.contains(&name),
        _ => false,
    };
    let ours: Vec<&String> = here.iter().filter(device).collect();
    let common = ours.iter().find(|line| line.starts_with("port ") && there.contains(line));
    if let Some(port) = common {
        return Judgement::leak(format!("both sides have a hypervisor port of the same name: {port}"));
    }
    match ours.first() {
        Some(line) => {
            Judgement::inconclusive(format!("the other end of this hypervisor device is unknown: {line}"))
        }
        None => Judgement::isolated(format!(
            "source and target run on different kernels (boot ids); none of {} sockets at the source and {} at the \
             target leads out of its VM",
            here.len(),
            there.len()
        )),
    }
}
