//! The packets that the guard refuses, as the kernel reports them to its log group (nfnetlink_log).

use std::io;
use std::net::IpAddr;

use etherparse::{LaxNetSlice, LaxSlicedPacket, TransportSlice};
use netlink_packet_core::{NetlinkMessage, NetlinkPayload};
use netlink_packet_netfilter::nflog::{
    ConfigCmd, ConfigMode, PacketNla, Timeout, ULogMessage, config_request,
};
use netlink_packet_netfilter::{NetfilterMessage, NetfilterMessageInner, NetfilterProtoFamily};
use netlink_sys::protocols::NETLINK_NETFILTER;
use netlink_sys::{AsyncSocket, AsyncSocketExt, SocketAddr, TokioSocket};
use rustix::io::Errno;

use crate::fabric::LOG_GROUP;

/// How long the kernel may delay a report, so that one report has several packets.
const TOGETHER: std::time::Duration = std::time::Duration::from_millis(100);

/// A packet that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    /// The index of the link where the packet came in. Without such a link: the one where it would have gone out.
    pub(super) link: u32,
    pub(super) from: IpAddr,
    pub(super) to: IpAddr,
    /// The number of its IP protocol, such as 6 for TCP.
    pub(super) protocol: u8,
    /// The destination port; `None` for other protocols than TCP and UDP, and for a packet that is cut before its port.
    pub(super) port: Option<u16>,
}

/// A socket that has joined the guard's log group.
pub(super) struct Refusals {
    socket: TokioSocket,
}

impl std::fmt::Debug for Refusals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Refusals")
    }
}

impl Refusals {
    /// Joins the log group. `None` where the kernel has no nfnetlink_log.
    pub(super) fn open() -> io::Result<Option<Self>> {
        let mut socket = TokioSocket::new(NETLINK_NETFILTER)?;
        socket.socket_mut().bind(&SocketAddr::new(0, 0))?;
        socket.socket_mut().set_non_blocking(false)?;
        let bind =
            vec![ConfigCmd::Bind.into(), ConfigMode::PACKET_MAX.into(), Timeout::from(TOGETHER).into()];
        match asked(&socket, bind) {
            Err(error) if is_without_log(&error) => return Ok(None),
            bound => bound?,
        }
        socket.socket_mut().set_non_blocking(true)?;
        Ok(Some(Self { socket }))
    }

    /// Waits for the next report and returns its packets. Reports that the kernel could not deliver are lost; the
    /// guard's own set still counts their packets.
    pub(super) async fn next(&self) -> Vec<Refusal> {
        match self.socket.recv_from_full().await {
            Ok((bytes, _)) => messages(&bytes).iter().filter_map(refusal).collect(),
            Err(_) => Vec::new(),
        }
    }
}

/// Configures the log group, and reads the kernel's answer, which is there at once.
fn asked(socket: &TokioSocket, settings: Vec<netlink_packet_netfilter::nflog::ConfigNla>) -> io::Result<()> {
    let request = config_request(NetfilterProtoFamily::Unspec, LOG_GROUP, settings);
    let mut bytes = vec![0; request.buffer_len()];
    request.serialize(&mut bytes);
    socket.socket_ref().send(&bytes, 0)?;
    let (answer, _) = socket.socket_ref().recv_from_full()?;
    for message in messages(&answer) {
        if let NetlinkPayload::Error(error) = message.payload
            && error.code.is_some()
        {
            return Err(error.to_io());
        }
    }
    Ok(())
}

/// Whether the kernel answers that it has no nfnetlink_log (nfnetlink.c: EINVAL for an unknown subsystem, or for one
/// whose module is missing).
fn is_without_log(error: &io::Error) -> bool {
    let without = [Errno::INVAL, Errno::OPNOTSUPP, Errno::NOENT, Errno::PROTONOSUPPORT];
    without.iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

/// Whether a message of netlink itself or of the log begins here, by its type (netlink(7): length, type). The upper
/// byte of the type is the subsystem (linux/netfilter/nfnetlink.h). Messages of other subsystems are not parsed: they
/// were not asked for, and their parsers panic on an attribute that is shorter than its header.
fn is_of_the_log(bytes: &[u8]) -> bool {
    const ULOG: u16 = 4;
    const OWN_TYPES: u16 = 16;
    let kind = bytes.get(4..6).and_then(|kind| kind.try_into().ok()).map(u16::from_ne_bytes);
    kind.is_some_and(|kind| kind < OWN_TYPES || kind >> 8 == ULOG)
}

/// The messages in the bytes that a socket received, up to the first part that is no message.
fn messages(bytes: &[u8]) -> Vec<NetlinkMessage<NetfilterMessage>> {
    let (mut all, mut left) = (Vec::new(), bytes);
    while is_of_the_log(left)
        && let Ok(message) = NetlinkMessage::<NetfilterMessage>::deserialize(left)
    {
        // Messages begin at multiples of four (NLMSG_ALIGN in netlink(3)).
        let length = (message.header.length as usize).next_multiple_of(4);
        all.push(message);
        match left.get(length..) {
            Some(rest) if length > 0 && !rest.is_empty() => left = rest,
            _ => break,
        }
    }
    all
}

/// The refused packet in a message; `None` for another message, and for a packet that cannot be parsed.
fn refusal(message: &NetlinkMessage<NetfilterMessage>) -> Option<Refusal> {
    let NetlinkPayload::InnerMessage(message) = &message.payload else { return None };
    let NetfilterMessageInner::ULog(ULogMessage::Packet(parts)) = &message.inner else { return None };
    let (mut inward, mut outward, mut packet) = (None, None, None);
    for part in parts {
        match part {
            PacketNla::IfIndexInDev(index) => inward = Some(*index),
            PacketNla::IfIndexOutDev(index) => outward = Some(*index),
            PacketNla::Payload(bytes) => packet = Some(bytes),
            _ => {}
        }
    }
    read(inward.or(outward)?, packet?)
}

/// For fuzzing: parses the bytes as messages of a socket, and again as the beginning of a refused packet.
#[cfg(feature = "fuzzing")]
pub fn read_netlink(bytes: &[u8]) {
    for message in messages(bytes) {
        let _ = refusal(&message);
    }
    let _ = read(1, bytes);
}

/// Parses the first bytes of an IP packet. Pure.
fn read(link: u32, packet: &[u8]) -> Option<Refusal> {
    let sliced = LaxSlicedPacket::from_ip(packet).ok()?;
    let (from, to, protocol) = match sliced.net.as_ref()? {
        LaxNetSlice::Ipv4(ip) => {
            let header = ip.header();
            (header.source_addr().into(), header.destination_addr().into(), header.protocol().0)
        }
        LaxNetSlice::Ipv6(ip) => {
            let header = ip.header();
            (header.source_addr().into(), header.destination_addr().into(), ip.payload().ip_number.0)
        }
        LaxNetSlice::Arp(_) => return None,
    };
    let port = match &sliced.transport {
        Some(TransportSlice::Tcp(tcp)) => Some(tcp.destination_port()),
        Some(TransportSlice::Udp(udp)) => Some(udp.destination_port()),
        _ => None,
    };
    Some(Refusal { link, from, to, protocol, port })
}

#[cfg(test)]
mod tests {
    use etherparse::PacketBuilder;

    use super::*;

    #[test]
    fn a_refused_packet_is_read_with_its_addresses_its_protocol_and_its_port() {
        let (from, to) = ([192, 168, 60, 11], [192, 168, 61, 10]);
        let mut udp = Vec::new();
        PacketBuilder::ipv4(from, to, 64).udp(40_000, 53).write(&mut udp, b"who is there").expect("a packet");
        let told = Refusal { link: 7, from: from.into(), to: to.into(), protocol: 17, port: Some(53) };
        assert_eq!(read(7, &udp), Some(told.clone()));
        // A packet that was cut, with and without its port.
        assert_eq!(read(7, &udp[..28]), Some(told.clone()));
        assert_eq!(read(7, &udp[..22]), Some(Refusal { port: None, ..told }));
        let mut tcp = Vec::new();
        PacketBuilder::ipv4(from, to, 64).tcp(40_000, 6443, 1, 1024).write(&mut tcp, &[]).expect("a packet");
        assert_eq!(read(7, &tcp).map(|it| (it.protocol, it.port)), Some((6, Some(6443))));
        let mut ping = Vec::new();
        PacketBuilder::ipv4(from, to, 64).icmpv4_echo_request(1, 1).write(&mut ping, &[]).expect("a packet");
        assert_eq!(read(7, &ping).map(|it| (it.protocol, it.port)), Some((1, None)));
        assert_eq!((read(7, &[]), read(7, &[0x45; 10])), (None, None));
    }

    #[test]
    fn incomplete_messages_are_not_read() {
        assert_eq!(messages(&[]).len(), 0);
        assert_eq!(messages(&[20, 0, 0, 0, 0, 4]).len(), 0);
    }

    #[test]
    fn messages_of_other_subsystems_are_not_read_even_if_they_are_malformed() {
        // A message of nftables with an attribute of length 0: its parser subtracts the 4 bytes of the header.
        let header = [24_u32.to_ne_bytes(), [9, 10, 0, 0], [0; 4], [0; 4]].concat();
        assert_eq!(messages(&[&header[..], &[0; 8]].concat()).len(), 0);
    }
}
