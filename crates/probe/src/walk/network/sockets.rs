//! The sockets of a network namespace, from the kernel's tables in `/proc/net` and from sock_diag(7).

use std::fs;
use std::io::{self, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use probe::structure::Socket;

use crate::packet::netlink::{after, u8_at, u32_at};
use crate::walk::kernel_device;
use crate::walk::netlink::Netlink;

/// NETLINK_SOCK_DIAG, and SOCK_DIAG_BY_FAMILY.
pub(in super::super) const DIAG: isize = 4;
const BY_FAMILY: u16 = 20;

/// All sockets of the thread's namespace.
pub(super) fn all(unread: &mut dyn FnMut(&str, &io::Error)) -> Vec<Socket> {
    // Protocols with the columns of /proc/net/tcp. `icmp` are sockets for echo requests without root.
    const INTERNET: [&str; 11] =
        ["tcp", "tcp6", "udp", "udp6", "udplite", "udplite6", "raw", "raw6", "icmp", "icmp6", "dccp"];
    let mut sockets = Vec::new();
    for protocol in INTERNET {
        sockets.extend(lines(protocol, unread).iter().filter_map(|line| internet(protocol, line)));
    }
    sockets.extend(lines("packet", unread).iter().filter_map(|line| packet(line)));
    for (path, own, remote) in [("sctp/eps", 5, None), ("sctp/assocs", 11, Some(12))] {
        sockets.extend(lines(path, unread).iter().filter_map(|line| sctp(line, own, remote)));
    }
    match Netlink::open(DIAG).and_then(|diag| unix(&diag)) {
        Ok(found) => sockets.extend(found),
        Err(error) => unread("UNIX sockets", &error),
    }
    match Netlink::open(DIAG).and_then(|diag| xdp(&diag)) {
        Ok(found) => sockets.extend(found),
        Err(error) => unread("XDP sockets", &error),
    }
    sockets
}

/// The lines of a table without its header. A table that does not exist has none: the kernel lacks the protocol.
fn lines(table: &str, unread: &mut dyn FnMut(&str, &io::Error)) -> Vec<String> {
    match whole(&format!("/proc/thread-self/net/{table}")) {
        Ok(text) => text.lines().skip(1).map(str::to_owned).collect(),
        Err(error) => {
            if error.kind() != io::ErrorKind::NotFound {
                unread(table, &error);
            }
            Vec::new()
        }
    }
}

/// Reads a table with as few calls as possible. Each call for a TCP table goes through the kernel's hash of all
/// namespaces' connections, which takes a millisecond on a host with 24 GiB, and `fs::read_to_string` makes five.
fn whole(path: &str) -> io::Result<String> {
    const ENOUGH: usize = 1 << 18;
    let (mut file, mut bytes, mut length) = (fs::File::open(path)?, vec![0; ENOUGH], 0);
    loop {
        match file.read(&mut bytes[length..])? {
            0 => break,
            more => length += more,
        }
        if bytes.len() - length < ENOUGH / 2 {
            bytes.resize(bytes.len() * 2, 0);
        }
    }
    bytes.truncate(length);
    String::from_utf8(bytes).map_err(io::Error::other)
}

fn internet(protocol: &str, line: &str) -> Option<Socket> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let remote = end(words.get(2)?)?;
    Some(Socket {
        protocol: protocol.to_owned(),
        local: end(words.get(1)?),
        remote: (!remote.0.is_unspecified()).then_some(remote),
        state: u8::from_str_radix(words.get(3)?, 16).ok()?,
        inode: words.get(9)?.parse().ok()?,
        ..Socket::default()
    })
}

/// `0100007F:1A0B`: the words of an address as the processor stores them, and the port.
fn end(text: &str) -> Option<(IpAddr, u16)> {
    let (address, port) = text.split_once(':')?;
    let word = |at: usize| Some(u32::from_str_radix(address.get(at..at + 8)?, 16).ok()?.to_ne_bytes());
    let address = match address.len() {
        8 => Ipv4Addr::from(word(0)?).into(),
        32 => {
            let words = [word(0)?, word(8)?, word(16)?, word(24)?];
            let six = Ipv6Addr::from(<[u8; 16]>::try_from(words.concat()).ok()?);
            six.to_ipv4_mapped().map_or(IpAddr::V6(six), IpAddr::V4)
        }
        _ => return None,
    };
    Some((address, u16::from_str_radix(port, 16).ok()?))
}

fn packet(line: &str) -> Option<Socket> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    Some(Socket {
        protocol: "packet".to_owned(),
        link: words.get(4)?.parse().ok(),
        inode: words.get(8)?.parse().ok()?,
        ..Socket::default()
    })
}

/// A line of `/proc/net/sctp`. The inode is the word after the user, the addresses are at the end.
fn sctp(line: &str, port: usize, remote_port: Option<usize>) -> Option<Socket> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let inode_at = if remote_port.is_some() { 10 } else { 7 };
    let inode = words.get(inode_at)?.parse().ok()?;
    let number = |at: usize| words.get(at).and_then(|word| word.parse::<u16>().ok());
    let addresses =
        |words: &[&str]| words.iter().find_map(|it| it.trim_start_matches('*').parse::<IpAddr>().ok());
    let arrow = words.iter().position(|word| *word == "<->").unwrap_or(words.len());
    let local = addresses(words.get(inode_at + 1..arrow)?).unwrap_or(Ipv4Addr::UNSPECIFIED.into());
    let remote = words.get(arrow + 1..).and_then(addresses);
    Some(Socket {
        protocol: "sctp".to_owned(),
        inode,
        local: Some((local, number(port)?)),
        remote: remote.zip(remote_port.and_then(number)),
        state: if remote_port.is_some() { 1 } else { 10 },
        ..Socket::default()
    })
}

/// UNIX sockets with their peers, also those in other namespaces.
fn unix(diag: &Netlink) -> io::Result<Vec<Socket>> {
    const FIXED: usize = 16;
    let mut request = vec![1, 0, 0, 0]; // AF_UNIX
    request.extend(u32::MAX.to_ne_bytes()); // all states
    request.extend([0; 4]);
    request.extend(7_u32.to_ne_bytes()); // UDIAG_SHOW_NAME, _VFS, _PEER
    request.extend([0; 8]);
    let read = |body: &[u8]| {
        let of = |wanted| after(body, FIXED).find(|(kind, _)| *kind == wanted).map(|(_, value)| value);
        let name = of(0).map(|name| String::from_utf8_lossy(name).replace('\0', "@"));
        Some(Socket {
            protocol: "unix".to_owned(),
            inode: u32_at(body, 4)?.into(),
            state: u8_at(body, 2)?,
            name: name
                .map(|name| if name.starts_with('@') { name } else { name.trim_end_matches('@').to_owned() }),
            device: of(1).and_then(|file| u32_at(file, 4)).map(kernel_device),
            peer: of(2).and_then(|peer| u32_at(peer, 0)).map(u64::from),
            ..Socket::default()
        })
    };
    Ok(diag.dump(BY_FAMILY, &request)?.iter().filter_map(|(_, body)| read(body)).collect())
}

/// Sockets that take frames from a link before the kernel does (AF_XDP).
fn xdp(diag: &Netlink) -> io::Result<Vec<Socket>> {
    const AF_XDP: u8 = 44;
    let mut request = vec![0; 20];
    request[0] = AF_XDP;
    let read = |body: &[u8]| {
        Some(Socket { protocol: "xdp".to_owned(), inode: u32_at(body, 4)?.into(), ..Socket::default() })
    };
    Ok(dumped(diag, &request)?.iter().filter_map(|body| read(body)).collect())
}

/// The sockets between VMs and their host. They belong to no network namespace.
pub(in super::super) fn vsock() -> io::Result<Vec<Socket>> {
    const AF_VSOCK: u8 = 40;
    let mut request = vec![AF_VSOCK, 0, 0, 0];
    request.extend(u32::MAX.to_ne_bytes());
    request.resize(24, 0);
    let read = |body: &[u8]| {
        let number = |at| u32_at(body, at).unwrap_or(0);
        Some(Socket {
            protocol: "vsock".to_owned(),
            inode: number(20).into(),
            state: u8_at(body, 2)?,
            name: Some(format!("{}:{} to {}:{}", number(4), number(8), number(12), number(16))),
            ..Socket::default()
        })
    };
    let diag = Netlink::open(DIAG)?;
    Ok(dumped(&diag, &request)?.iter().filter_map(|body| read(body)).collect())
}

/// The answers; none if the kernel lacks the family.
fn dumped(diag: &Netlink, request: &[u8]) -> io::Result<Vec<Vec<u8>>> {
    const NOENT: i32 = 2;
    const INVAL: i32 = 22;
    match diag.dump(BY_FAMILY, request) {
        Ok(all) => Ok(all.into_iter().map(|(_, body)| body).collect()),
        Err(error) if matches!(error.raw_os_error(), Some(NOENT | INVAL)) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end_of(text: &str) -> String {
        end(text).map(|(address, port)| format!("{address} {port}")).unwrap_or_default()
    }

    #[test]
    fn addresses_are_read_as_the_kernel_prints_them() {
        assert_eq!(end_of("0100007F:1A0B"), "127.0.0.1 6667");
        assert_eq!(end_of("00000000000000000000000001000000:0016"), "::1 22");
        assert_eq!(end_of("0000000000000000FFFF00000A3CA8C0:192B"), "192.168.60.10 6443");
        assert_eq!(end_of("7F:1"), "");
    }

    #[test]
    fn a_line_of_each_table_is_a_socket() {
        let tcp = "   0: 0100007F:1F90 0A3CA8C0:192B 01 00000000:00000000 00:00000000 00000000     0        0 4711 1";
        let tcp = internet("tcp", tcp).unwrap();
        assert_eq!((tcp.inode, tcp.state, tcp.remote.map(|end| end.1)), (4711, 1, Some(6443)));
        let raw = "  112: 00000000:0070 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 99 2";
        let raw = internet("raw", raw).unwrap();
        assert_eq!((raw.inode, raw.local.map(|end| end.1), raw.remote), (99, Some(112), None));
        let sniffer = "ffff9c5 3      3    0003   7     1 0      0      54321";
        let sniffer = packet(sniffer).unwrap();
        assert_eq!((sniffer.inode, sniffer.link), (54321, Some(7)));
        let listens = "ffff8b ffff8c 2   10  29  7001     0 777 0.0.0.0";
        let listens = sctp(listens, 5, None).unwrap();
        assert_eq!((listens.inode, listens.local.map(|end| end.1), listens.state), (777, Some(7001), 10));
        let talks = "ffff8b ffff8c 2   1   4  10   1      0        0     0 778 7001  7002 192.168.60.1 <-> *192.168.60.10 7500";
        let talks = sctp(talks, 11, Some(12)).unwrap();
        let ends =
            [talks.local, talks.remote].map(|end| end.map(|(address, port)| format!("{address} {port}")));
        assert_eq!(ends, [Some("192.168.60.1 7001".to_owned()), Some("192.168.60.10 7002".to_owned())]);
    }

    #[test]
    fn a_unix_socket_has_the_inode_of_its_peer() {
        let (one, other) = std::os::unix::net::UnixStream::pair().unwrap();
        let inode = |socket: &std::os::unix::net::UnixStream| rustix::fs::fstat(socket).unwrap().st_ino;
        let found = unix(&Netlink::open(DIAG).unwrap()).unwrap();
        let own = found.iter().find(|socket| socket.inode == inode(&one)).unwrap();
        assert_eq!((own.peer, own.device.as_deref()), (Some(inode(&other)), None));
    }

    #[test]
    fn a_unix_socket_has_the_device_of_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let device = rustix::fs::stat(&path).unwrap().st_dev;
        let found = unix(&Netlink::open(DIAG).unwrap()).unwrap();
        let own = found.iter().find(|socket| socket.name.as_deref() == path.to_str()).unwrap();
        let expected = format!("{}:{}", rustix::fs::major(device), rustix::fs::minor(device));
        assert_eq!(own.device, Some(expected));
    }
}
