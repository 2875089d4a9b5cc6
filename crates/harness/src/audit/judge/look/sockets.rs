//! Compares sockets: a file that both can open leads both to whoever listens behind it.

use std::collections::BTreeMap;

use crate::audit::verdict::Judgement;

/// Sockets of what commands the workstation. A node that is a container has none of them itself.
const MASTERS: [&str; 5] =
    ["docker.sock", "podman.sock", "libvirt-sock", "virtqemud-sock", "dbus/system_bus_socket"];

/// A line of [`Sight::Sockets`](probe::Sight::Sockets).
enum Socket<'a> {
    /// `8:1 40 /run/a.sock /run`: device, inode, path, mount point.
    File { path: &'a str, point: &'a str },
    /// `abstract 41 @name`: it belongs to a network namespace (unix(7)).
    Abstract,
    /// `port org.qemu.guest_agent.0`, `vsock virtio4`: what leads to a hypervisor. Within one kernel it is the
    /// workstation's own.
    Device,
}

/// Ports by which a hypervisor itself speaks to each of its machines, and which it keeps apart.
const ITS_OWN: [&str; 2] = ["org.qemu.guest_agent.0", "com.redhat.spice.0"];

/// What tells a socket from all others, and what else is known of it.
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

/// The other's sockets are a leak, and so are those of what commands the workstation. One that is mounted by itself is
/// somebody's, and nobody knows whose: a node of ours has none.
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

/// The same of two kernels. The file of a socket leads nobody to another kernel (unix(7)), whatever it is mounted by;
/// ports and sockets of virtual machines lead to the hypervisor, which may lead them anywhere.
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
