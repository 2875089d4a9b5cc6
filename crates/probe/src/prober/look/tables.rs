//! Parses the kernel's tables (proc(5)). Lines that cannot be parsed are left out. Pure.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::mountinfo::{self, Line, unescaped};

/// A line of mountinfo. Blanks in paths stay escaped as in the kernel's text, so that a line still splits into words.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mount {
    pub(super) device: String,
    /// `ro` if the mount or its file system is read-only, else `rw`.
    pub(super) mode: &'static str,
    pub(super) root: String,
    pub(super) point: String,
    pub(super) kind: String,
    pub(super) source: String,
}

impl Mount {
    /// The path of the mount point, unescaped.
    pub(super) fn path(&self) -> String {
        unescaped(&self.point)
    }
}

/// Parses mountinfo.
pub(super) fn mounts(text: &str) -> Vec<Mount> {
    let read = |line: Line<'_>| Mount {
        mode: if line.is_read_only() { "ro" } else { "rw" },
        device: line.device.to_owned(),
        root: line.root.to_owned(),
        point: line.point.to_owned(),
        kind: line.kind.to_owned(),
        source: line.source.to_owned(),
    };
    mountinfo::lines(text).map(read).collect()
}

/// IPv4 routes from /proc/net/route, such as `default via 10.0.0.1 dev eth0`.
pub(super) fn routes(text: &str) -> Vec<String> {
    let address =
        |hex: &str| u32::from_str_radix(hex, 16).ok().map(|bits| Ipv4Addr::from(bits.to_ne_bytes()));
    let read = |line: &str| {
        let [link, to, via, _, _, _, _, mask] = first(line)?;
        let bits = address(mask)?.to_bits().count_ones();
        let (to, via) = (address(to)?, address(via)?);
        let via = if via.is_unspecified() { String::new() } else { format!(" via {via}") };
        Some(format!("{}{via} dev {link}", target(&to.to_string(), bits)))
    };
    text.lines().skip(1).filter_map(read).collect()
}

/// IPv6 routes from /proc/net/ipv6_route, in the same form.
pub(super) fn routes6(text: &str) -> Vec<String> {
    let address = |hex: &str| u128::from_str_radix(hex, 16).ok().map(Ipv6Addr::from_bits);
    let read = |line: &str| {
        let [to, bits, _, _, via, _, _, _, _, link] = first(line)?;
        let (to, via) = (address(to)?, address(via)?);
        let via = if via.is_unspecified() { String::new() } else { format!(" via {via}") };
        let bits = u32::from_str_radix(bits, 16).ok()?;
        Some(format!("{}{via} dev {link}", target(&to.to_string(), bits)))
    };
    text.lines().filter_map(read).collect()
}

fn target(address: &str, bits: u32) -> String {
    match (address, bits) {
        ("0.0.0.0" | "::", 0) => "default".to_owned(),
        _ => format!("{address}/{bits}"),
    }
}

/// Abstract sockets from /proc/net/unix, with inode and name, such as `abstract 41 @name`. Sockets with a path are
/// found by their files.
pub(super) fn abstract_sockets(text: &str) -> Vec<String> {
    let read = |line: &str| {
        let [_, _, _, _, _, _, inode] = first(line)?;
        let (_, name) = line.split_once(&format!(" {inode} "))?;
        name.starts_with('@').then(|| format!("abstract {inode} {name}"))
    };
    text.lines().skip(1).filter_map(read).collect()
}

/// The key in a public key file, such as `host-key ssh-ed25519 AAAA…`, without its comment (sshd(8)).
pub(super) fn host_key(text: &str) -> Option<String> {
    let [kind, key] = first(text)?;
    Some(format!("host-key {kind} {key}"))
}

/// The first `N` words of a line, or `None` if there are fewer.
fn first<const N: usize>(line: &str) -> Option<[&str; N]> {
    let words: Vec<&str> = line.split_whitespace().take(N).collect();
    words.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_are_read_with_device_root_and_mount_point() {
        let text = r"36 35 98:0 /mnt1 /mnt2\040x rw,noatime master:1 - ext3 /dev/root rw,errors=continue
            no mount";
        let mount = |mode| Mount {
            device: "98:0".to_owned(),
            mode,
            root: "/mnt1".to_owned(),
            point: r"/mnt2\040x".to_owned(),
            kind: "ext3".to_owned(),
            source: "/dev/root".to_owned(),
        };
        assert_eq!(mounts(text), [mount("rw")]);
        assert_eq!(mounts(&text.replace("rw,noatime", "ro,noatime")), [mount("ro")]);
        assert_eq!(
            mounts(&text.replace("rw,errors", "ro,errors")),
            [mount("ro")],
            "the file system is read-only"
        );
        assert_eq!(mount("rw").path(), "/mnt2 x");
    }

    #[test]
    fn routes_read_as_ip_route_shows_them() {
        let text = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
            eth0\t00000000\t0130A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
            eth0\t0030A8C0\t00000000\t0001\t0\t0\t0\t00F0FFFF\t0\t0\t0\n";
        assert_eq!(routes(text), ["default via 192.168.48.1 dev eth0", "192.168.48.0/20 dev eth0"]);
        let six = "fe800000000000000000000000000000 40 00000000000000000000000000000000 00 \
            00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth0\n";
        assert_eq!(routes6(six), ["fe80::/64 dev eth0"]);
    }

    #[test]
    fn only_abstract_sockets_come_from_the_kernels_table() {
        let text = "Num       RefCount Protocol Flags    Type St Inode Path\n\
            0000000000000000: 00000002 00000000 00010000 0001 01 40 /run/a b.sock\n\
            0000000000000000: 00000002 00000000 00010000 0001 01 41 @abstract\n\
            0000000000000000: 00000003 00000000 00000000 0001 03 42\n";
        assert_eq!(abstract_sockets(text), ["abstract 41 @abstract"]);
        assert_eq!(host_key("ssh-ed25519 AAAA root@node\n"), Some("host-key ssh-ed25519 AAAA".to_owned()));
    }
}
