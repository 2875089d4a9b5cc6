//! The links of a network namespace, and where their other ends are.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

use aya::programs::{SchedClassifier, TcAttachType};
use probe::structure::{Link, Peer};

use crate::packet::netlink::{
    address, after, attribute, attributes, i32_at, text, u8_at, u16_at, u32_at, within,
};
use crate::walk::netlink::Netlink;

const GETLINK: u16 = 18;
const GETNSID: u16 = 90;
/// The length of `ifinfomsg`.
const FIXED: usize = 16;
const AF_BRIDGE: u8 = 7;

/// The network namespaces that can be entered, by their inodes.
pub(in super::super) type Handles = BTreeMap<u64, File>;

/// The links of the thread's namespace, whose inode is `own`.
pub(super) fn all(route: &Netlink, own: u64, handles: &Handles) -> io::Result<Vec<Link>> {
    let mut links = dumped(route, own, handles, &request(0))?;
    for (_, body) in route.dump(GETLINK, &request(AF_BRIDGE))? {
        let index = u32_at(&body, 4);
        if let Some(link) = links.iter_mut().find(|link| Some(link.index) == index) {
            link.vlans = after(&body, FIXED)
                .filter(|(kind, _)| *kind == 26) // IFLA_AF_SPEC
                .flat_map(|(_, spec)| attributes(spec))
                .filter(|(kind, _)| *kind == 2) // IFLA_BRIDGE_VLAN_INFO: flags, VLAN
                .filter_map(|(_, info)| u16_at(info, 2))
                .collect();
        }
    }
    Ok(links)
}

/// The links that answer a request, each with the namespace of its peer. `own` is the namespace of the links.
fn dumped(route: &Netlink, own: u64, handles: &Handles, request: &[u8]) -> io::Result<Vec<Link>> {
    let mut numbers = BTreeMap::new();
    let mut links = Vec::new();
    for (_, body) in route.dump(GETLINK, request)? {
        let (mut link, number) = read(&body);
        if let (Some(peer), Some(number)) = (&mut link.peer, number) {
            if numbers.is_empty() {
                numbers = numbers_of(route, handles);
            }
            peer.namespace = numbers.get(&number).copied();
        } else if let Some(peer) = &mut link.peer {
            peer.namespace = Some(own);
        }
        links.push(link);
    }
    Ok(links)
}

/// Namespaces that no process, descriptor or mount leads to, such as those that only a socket keeps. The thread's namespace has a
/// number for each one into which a link of it was moved, or in which a link on top of one of its own is, and the kernel
/// tells the links there by that number (rtnetlink(7), IFLA_TARGET_NETNSID). Their inodes are unknown, so each gets one that
/// no namespace has.
pub(super) fn hidden(route: &Netlink, own: u64, handles: &Handles) -> io::Result<Vec<(u64, Vec<Link>)>> {
    const TARGET: u16 = 46;
    const UNKNOWN: u64 = 1 << 63;
    const GONE: [i32; 3] = [2, 3, 22]; // ENOENT, ESRCH; EINVAL for a number that is no longer in use
    let number = |body: &[u8]| after(body, 4).find(|(kind, _)| *kind == 1).and_then(|it| i32_at(it.1, 0));
    let numbers: Vec<i32> =
        route.dump(GETNSID, &[0; 4])?.iter().filter_map(|(_, body)| number(body)).collect();
    if numbers.is_empty() {
        return Ok(Vec::new());
    }
    let known = numbers_of(route, handles);
    let mut all = Vec::new();
    for number in numbers.into_iter().filter(|number| *number >= 0 && !known.contains_key(number)) {
        let inode = UNKNOWN | (own << 16) | u64::from(number.unsigned_abs());
        let request = [request(0), attribute(TARGET, &number.to_ne_bytes())].concat();
        match dumped(route, inode, handles, &request) {
            Ok(links) => all.push((inode, links)),
            Err(error) if error.raw_os_error().is_some_and(|code| GONE.contains(&code)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(all)
}

/// `ifinfomsg` with the wish to see the VLANs of bridges' ports (RTEXT_FILTER_BRVLAN).
fn request(family: u8) -> Vec<u8> {
    let mut body = vec![0; FIXED];
    body[0] = family;
    if family == AF_BRIDGE {
        body.extend(attribute(29, &2_u32.to_ne_bytes()));
    }
    body
}

/// The namespaces by the numbers that the thread's namespace has for them. One without a number is left out: no link
/// leads there.
fn numbers_of(route: &Netlink, handles: &Handles) -> BTreeMap<i32, u64> {
    let number = |file: &File| {
        let mut body = vec![0; 4];
        body.extend(attribute(3, &file.as_raw_fd().to_ne_bytes())); // NETNSA_FD
        let (_, answer) = route.one(GETNSID, &body).ok()??;
        let number = after(&answer, 4).find(|(kind, _)| *kind == 1)?; // NETNSA_NSID
        i32_at(number.1, 0).filter(|number| *number >= 0)
    };
    handles.iter().filter_map(|(inode, file)| Some((number(file)?, *inode))).collect()
}

/// A link, and the number of its peer's namespace. The peer's namespace is not known yet.
fn read(body: &[u8]) -> (Link, Option<i32>) {
    const UP: u32 = 1;
    const LOOPBACK: u32 = 8;
    let flags = u32_at(body, 8).unwrap_or(0);
    let mut link = Link {
        index: u32_at(body, 4).unwrap_or(0),
        up: flags & UP != 0,
        loopback: flags & LOOPBACK != 0,
        ..Link::default()
    };
    let (mut number, mut below) = (None, None);
    for (kind, value) in after(body, FIXED) {
        match kind {
            1 => link.mac = Some(mac(value)).filter(|mac| !mac.is_empty()),
            3 => link.name = text(value),
            5 => below = u32_at(value, 0),
            10 => link.controller = u32_at(value, 0),
            18 => info(value, &mut link),
            37 => number = i32_at(value, 0),
            43 => link.xdp = [4, 5, 6, 7].into_iter().find_map(|kind| u32_at(within(value, kind)?, 0)),
            _ => {}
        }
    }
    // Tunnels say 0 where no link is below them.
    let below = below.filter(|below| *below != 0 || number.is_some()).or(number.map(|_| 0));
    link.peer = below.map(|index| Peer { index, namespace: None });
    (link, number)
}

/// Reads IFLA_LINKINFO.
fn info(value: &[u8], link: &mut Link) {
    const PORT_DATA: u16 = 5;
    const ISOLATED: u16 = 33;
    let kind = within(value, 1).map(text);
    if let Some(data) = within(value, 2) {
        // The remote address is an attribute of another number in each kind (linux/if_link.h, linux/if_tunnel.h).
        let remotes: &[u16] = match kind.as_deref().unwrap_or_default() {
            "vxlan" => &[2, 16],
            "geneve" => &[2, 7],
            "gre" | "gretap" | "erspan" | "ip6gre" | "ip6gretap" | "ip6erspan" => &[7],
            "ipip" | "sit" | "ip6tnl" => &[3],
            "vti" | "vti6" => &[5],
            _ => &[],
        };
        let remotes = attributes(data).filter(|(kind, _)| remotes.contains(kind));
        let remotes = remotes.filter_map(|(_, value)| address(value)).filter(|it| !it.is_unspecified());
        link.leads = remotes.map(|to| format!("remote {to}")).collect();
    }
    let isolated = within(value, PORT_DATA).and_then(|data| within(data, ISOLATED));
    link.isolated = isolated.and_then(|value| u8_at(value, 0)) == Some(1);
    link.kind = kind;
}

pub(super) fn mac(value: &[u8]) -> String {
    let bytes: Vec<String> = value.iter().map(|byte| format!("{byte:02x}")).collect();
    bytes.join(":")
}

/// The ids of the programs on a link's tcx hooks. Empty on kernels that have no such hooks.
///
/// # Errors
/// A kernel that has the hooks and does not tell what is there.
pub(super) fn tcx(link: &str) -> Result<Vec<u32>, String> {
    let mut programs = Vec::new();
    for direction in [TcAttachType::Ingress, TcAttachType::Egress] {
        match SchedClassifier::query_tcx(link, direction) {
            Ok((_, found)) => programs.extend(found.iter().map(aya::programs::ProgramInfo::id)),
            Err(error) => {
                let told = super::super::told(&error);
                // Before Linux 6.6, the kernel refuses the question itself.
                if !told.contains("Invalid argument") && !told.contains("os error 2)") {
                    return Err(told);
                }
            }
        }
    }
    Ok(programs)
}
