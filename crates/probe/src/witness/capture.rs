//! Captures every frame that arrives on a link, or on all links, and finds nonces in it. So the witness also sees
//! packets to closed ports.
//!
//! A packet socket (packet(7)) receives frames before the host's packet filter and before any other socket, so a frame
//! that it does not receive did not arrive. The kernel counts the frames that the socket had no room for, and the
//! witness reports them as lost.

use std::io::{self, ErrorKind, IoSliceMut};
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use nix::libc;
use nix::sys::socket::{ControlMessageOwned, LinkAddr, MsgFlags, recvmsg, setsockopt, sockopt};
use probe::Nonce;
use socket2::{Domain, Protocol, SockFilter, Socket, Type};

use super::peers::{Peers, cast};
use super::report::Reporter;
use crate::arrivals::{self, EQUAL, EVERYTHING, LINK, LOAD, LOAD_LENGTH, PACKET_TYPE, RETURN};
use crate::packet::{of_frame, of_packet, seen};

/// PACKET_OUTGOING, linux/if_packet.h: a frame that this network namespace sends.
const OUTGOING: u8 = 4;
/// The index of loopback in every network namespace (LOOPBACK_IFINDEX, net/flow.h).
const LOOPBACK: u32 = 1;
/// The length of [`nudge`]'s frame, the only kind of loopback frame that the filter accepts: Ethernet, IPv4 and UDP
/// headers.
const NUDGE: u32 = 14 + 20 + 8;
/// The largest frame that is read whole, in bytes. Receive offload makes frames of up to 64 KiB.
const FRAME: usize = 128 << 10;
/// How often losses are checked.
const TICK: Duration = Duration::from_secs(1);
/// From this number of frames per tick, the socket's buffer may have overflowed.
const BUSY: u32 = 64;

/// The length of a packet's auxiliary data, in bytes: a VLAN tag, which the kernel removes from the frame, is in there.
const AUXILIARY: usize = 20;
/// ARPHRD_ETHER, linux/if_arp.h.
const ETHER: u16 = 1;

/// The socket option that adds auxiliary data to each packet (packet(7)).
#[derive(Debug, Clone, Copy)]
struct AuxiliaryData;

nix::setsockopt_impl!(AuxiliaryData, libc::SOL_PACKET, libc::PACKET_AUXDATA, bool, sockopt::SetBool);

/// A socket that receives every frame that arrives on one link, or on all links, from now on.
pub(super) fn open(link: Option<u32>) -> io::Result<Socket> {
    let socket = Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(EVERYTHING)))?;
    arrivals::make_room(&socket)?;
    setsockopt(&socket, AuxiliaryData, &true)?;
    socket.set_read_timeout(Some(TICK))?;
    socket.attach_filter(&filter(link))?;
    Ok(socket)
}

/// The socket filter (classic BPF, linux/filter.h), which saves waking the witness. It drops three kinds of frames:
/// outgoing ones, of which a port scan makes tens of thousands; those of other links; and those of loopback. A loopback
/// frame never comes from another node, and on a node loopback carries the traffic of API server and etcd, and a
/// prober's batch.
fn filter(link: Option<u32>) -> Vec<SockFilter> {
    let end = |bytes| SockFilter::new(RETURN, 0, 0, bytes);
    let (load, equal) =
        (|what| SockFilter::new(LOAD, 0, 0, what), |yes, no, to| SockFilter::new(EQUAL, yes, no, to));
    let outgoing = [load(PACKET_TYPE), equal(0, 1, OUTGOING.into()), end(0)];
    let elsewhere = match link {
        Some(link) => vec![load(LINK), equal(1, 0, link), end(0)],
        None => {
            let length = SockFilter::new(LOAD_LENGTH, 0, 0, 0);
            vec![load(LINK), equal(0, 3, LOOPBACK), length, equal(1, 0, NUDGE), end(0)]
        }
    };
    outgoing.into_iter().chain(elsewhere).chain([end(u32::MAX)]).collect()
}

/// Reads frames until an error occurs. Runs on a separate thread until the process ends.
pub(super) fn watch(
    socket: &Socket,
    link: Option<u32>,
    reporter: &Reporter,
    mut peers: Peers,
) -> io::Result<()> {
    let mut buffer = vec![0; FRAME];
    let mut control = nix::cmsg_space!(u32, [u8; AUXILIARY]);
    let (mut dropped, mut frames, mut ticked) = (0_u32, 0_u32, Instant::now());
    loop {
        match next(socket, &mut buffer, &mut control) {
            Ok(frame) => {
                frames = frames.saturating_add(1);
                if let Some(total) = frame.dropped {
                    reporter.lost(u64::from(total.wrapping_sub(dropped)));
                    dropped = total;
                }
                if frame.truncated {
                    reporter.lost(1);
                }
                look(&frame, &buffer[..frame.length.min(FRAME)], link, reporter, &mut peers);
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            // A link that goes down causes one ENETDOWN. The capture goes on for the other links.
            Err(error) if error.kind() == ErrorKind::NetworkDown => {}
            Err(error) => return Err(error),
        }
        if ticked.elapsed() >= TICK {
            if frames >= BUSY {
                nudge();
            }
            (frames, ticked) = (0, Instant::now());
            reporter.tell_lost();
            peers.tell_omitted();
        }
    }
}

struct Frame {
    length: usize,
    truncated: bool,
    from: Option<LinkAddr>,
    dropped: Option<u32>,
    /// The tag control information of the VLAN tag that the kernel removed.
    tag: Option<u16>,
}

fn next(socket: &Socket, buffer: &mut [u8], control: &mut [u8]) -> io::Result<Frame> {
    let mut parts = [IoSliceMut::new(buffer)];
    let got = recvmsg::<LinkAddr>(socket.as_raw_fd(), &mut parts, Some(control), MsgFlags::empty())?;
    let (mut dropped, mut tag) = (None, None);
    for message in got.cmsgs()? {
        match message {
            ControlMessageOwned::RxqOvfl(total) => dropped = Some(total),
            ControlMessageOwned::Unknown(other) => tag = removed_tag(&other.data_bytes).or(tag),
            _ => {}
        }
    }
    let truncated = got.flags.contains(MsgFlags::MSG_TRUNC);
    Ok(Frame { length: got.bytes, truncated, from: got.address, dropped, tag })
}

/// The VLAN tag in the auxiliary data of a packet, if there is one (struct tpacket_auxdata, linux/if_packet.h).
fn removed_tag(auxiliary: &[u8]) -> Option<u16> {
    const HAS_TAG: u32 = 1 << 4; // TP_STATUS_VLAN_VALID
    let auxiliary: &[u8; AUXILIARY] = auxiliary.try_into().ok()?;
    let status = u32::from_ne_bytes(*auxiliary.first_chunk()?);
    (status & HAS_TAG != 0).then(|| u16::from_ne_bytes([auxiliary[16], auxiliary[17]]))
}

fn look(frame: &Frame, bytes: &[u8], link: Option<u32>, reporter: &Reporter, peers: &mut Peers) {
    // An outgoing frame is no arrival. Such frames may be in the buffer from before the filter was attached.
    let Some(from) = frame.from.filter(|from| from.pkttype() != OUTGOING) else { return };
    let index = u32::try_from(from.ifindex()).unwrap_or(0);
    if index == LOOPBACK || link.is_some_and(|link| link != index) {
        return;
    }
    let ends = match from.hatype() {
        ETHER => of_frame(bytes, frame.tag),
        _ => of_packet(bytes, u16::from_be(from.protocol())),
    };
    let nonces = Nonce::find_all(bytes);
    let has_nonce = !nonces.is_empty();
    if has_nonce {
        let seen = seen(bytes, from.hatype());
        for nonce in nonces {
            peers.nonce_arrived(&nonce);
            reporter.arrived(nonce, &seen, Some(index));
        }
    }
    // After the nonces: what a run has heard is reported after its first nonce.
    peers.arrived(index, cast(from.pkttype()), ends, has_nonce);
}

/// Sends a frame over loopback. The kernel reports its count of dropped frames with the next accepted frame
/// (SO_RXQ_OVFL, socket(7)), and after a burst there may be none. If loopback is down, the count waits for a frame from
/// outside.
fn nudge() {
    if let Ok(socket) = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)) {
        let _ = socket.send_to(b"", (Ipv4Addr::LOCALHOST, 9));
    }
}
