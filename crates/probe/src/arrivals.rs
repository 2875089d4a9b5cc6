//! What all packet sockets (packet(7)) that receive have in common: room for bursts, and the words of their filters.

use std::io;

use nix::sys::socket::{setsockopt, sockopt};
use socket2::Socket;

/// ETH_P_ALL, in network order as packet(7) wants it.
pub(crate) const EVERYTHING: i32 = 0x0003_u16.to_be() as i32;

/// The receive buffer, in bytes. A packet needs about 1 KiB of it, so this is a tenth of a second at 200 000 packets a
/// second.
const WAITING: usize = 16 << 20;

/// Gives a socket a large buffer, and has the kernel count the packets that do not fit (SO_RXQ_OVFL, socket(7)).
pub(crate) fn make_room(socket: &Socket) -> io::Result<()> {
    // Without CAP_NET_ADMIN net.core.rmem_max is the limit.
    if setsockopt(socket, sockopt::RcvBufForce, &WAITING).is_err() {
        socket.set_recv_buffer_size(WAITING)?;
    }
    Ok(setsockopt(socket, sockopt::RxqOvfl, &1)?)
}

// Classic BPF, linux/filter.h.
pub(crate) const LOAD_BYTE: u16 = 0x30; // BPF_LD | BPF_B | BPF_ABS
pub(crate) const LOAD_HALF: u16 = 0x28; // BPF_LD | BPF_H | BPF_ABS
pub(crate) const LOAD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
pub(crate) const LOAD_LENGTH: u16 = 0x80; // BPF_LD | BPF_W | BPF_LEN
pub(crate) const HEADER_LENGTH: u16 = 0xb1; // BPF_LDX | BPF_B | BPF_MSH: four times the lower four bits
pub(crate) const LOAD_HALF_BEHIND: u16 = 0x48; // BPF_LD | BPF_H | BPF_IND
pub(crate) const EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
pub(crate) const ANY_BIT: u16 = 0x45; // BPF_JMP | BPF_JSET | BPF_K
pub(crate) const RETURN: u16 = 0x06; // BPF_RET | BPF_K
/// The offset that loads to whom a frame is addressed: SKF_AD_OFF + SKF_AD_PKTTYPE.
pub(crate) const PACKET_TYPE: u32 = 0xffff_f004;
/// The offset that loads the index of the link: SKF_AD_OFF + SKF_AD_IFINDEX.
pub(crate) const LINK: u32 = 0xffff_f008;
