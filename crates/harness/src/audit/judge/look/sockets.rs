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
}

/// What tells a socket from all others, and what else is known of it.
fn read(line: &str) -> Option<((&str, &str), Socket<'_>)> {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words[..] {
        ["abstract", inode, ..] => Some((("abstract", inode), Socket::Abstract)),
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
        return Judgement::inconclusive("a line of what was seen is no socket");
    }
    let others: BTreeMap<_, &String> = there.iter().filter_map(|line| Some((read(line)?.0, line))).collect();
    let mut unknown = None;
    for line in here {
        let Some((key, socket)) = read(line) else { continue };
        if let Some(other) = others.get(&key) {
            return Judgement::leak(format!("{line} is the socket {other}"));
        }
        if let Socket::File { path, point } = socket {
            if MASTERS.iter().any(|name| path.ends_with(name)) {
                return Judgement::leak(format!("who holds this socket commands the workstation: {line}"));
            }
            if path == point {
                unknown = Some(line);
            }
        }
    }
    match unknown {
        Some(line) => Judgement::inconclusive(format!("nobody knows whose socket this is: {line}")),
        None => Judgement::isolated(format!(
            "{} sockets on one side, {} on the other, none on both",
            here.len(),
            there.len()
        )),
    }
}
