//! A non-blocking socket of any kind, driven by tokio.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;

use nix::sys::socket::{
    ControlMessageOwned, LinkAddr, MsgFlags, SockaddrIn, SockaddrIn6, SockaddrLike, SockaddrStorage,
    recvfrom, recvmsg, sendto, setsockopt, sockopt,
};
use probe::ProbeOutcome;
use rustix::net::{MMsgHdr, SendAncillaryBuffer, SendFlags, sendmmsg};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::errno;
use crate::links;

/// A socket that never blocks, connected or not.
#[derive(Debug)]
pub(super) struct Wire(AsyncFd<Socket>);

impl Wire {
    pub(super) fn open(domain: Domain, kind: Type, protocol: Option<i32>) -> io::Result<Self> {
        let socket = Socket::new(domain, kind.nonblocking(), protocol.map(Protocol::from))?;
        #[expect(
            deprecated,
            reason = "its successor is unsafe: a Socket owns its descriptor and never changes it"
        )]
        let driven = AsyncFd::new(socket)?;
        Ok(Self(driven))
    }

    /// A socket connected to `peer`. It receives only from this peer, and the ICMP errors that routers report
    /// (IP_RECVERR, ip(7)).
    pub(super) fn towards(peer: SocketAddr, kind: Type, protocol: Option<i32>) -> io::Result<Self> {
        let wire = Self::open(Domain::for_address(peer), kind, protocol)?;
        match peer {
            SocketAddr::V4(_) => setsockopt(wire.socket(), sockopt::Ipv4RecvErr, &true)?,
            SocketAddr::V6(_) => setsockopt(wire.socket(), sockopt::Ipv6RecvErr, &true)?,
        }
        wire.socket().connect(&SockAddr::from(peer))?;
        Ok(wire)
    }

    pub(super) fn socket(&self) -> &Socket {
        self.0.get_ref()
    }

    /// Sends a packet to the connected peer.
    pub(super) async fn send(&self, packet: &[u8]) -> io::Result<()> {
        self.0.async_io(Interest::WRITABLE, |socket| socket.send(packet)).await.map(drop)
    }

    /// Sends a packet to an address.
    pub(super) async fn send_to(&self, packet: &[u8], to: SocketAddr) -> io::Result<()> {
        match to {
            SocketAddr::V4(to) => self.send_any(packet, &SockaddrIn::from(to)).await,
            SocketAddr::V6(to) => self.send_any(packet, &SockaddrIn6::from(to)).await,
        }
    }

    /// Sends a whole frame on a link.
    pub(super) async fn send_frame(&self, frame: &[u8], link: &LinkAddr) -> io::Result<()> {
        self.send_any(frame, link).await
    }

    async fn send_any(&self, packet: &[u8], to: &(dyn SockaddrLike + Sync)) -> io::Result<()> {
        let send = |socket: &Socket| Ok(sendto(socket.as_raw_fd(), packet, to, MsgFlags::empty())?);
        self.0.async_io(Interest::WRITABLE, send).await.map(drop)
    }

    /// Sends packets to the connected peer, or on the bound link, in one system call (sendmmsg(2)); each after `header`.
    /// Returns how many of them the kernel took: at least one.
    pub(super) async fn send_all(&self, header: &[u8], packets: &[Vec<u8>]) -> io::Result<usize> {
        let parts: Vec<_> =
            packets.iter().map(|packet| [IoSlice::new(header), IoSlice::new(packet)]).collect();
        let send = |socket: &Socket| {
            let mut nothing: Vec<_> = parts.iter().map(|_| SendAncillaryBuffer::default()).collect();
            let messages = parts.iter().zip(&mut nothing);
            let mut messages: Vec<_> = messages.map(|(parts, none)| MMsgHdr::new(parts, none)).collect();
            Ok(sendmmsg(socket, &mut messages, SendFlags::empty())?)
        };
        self.0.async_io(Interest::WRITABLE, send).await
    }

    /// Waits until a packet can be received. The caller must then receive until there is none.
    pub(super) async fn readable(&self) -> io::Result<()> {
        self.0.readable().await?.clear_ready();
        Ok(())
    }

    /// Receives the next packet, if there is one: its length, and how many packets the socket had no room for since it
    /// was opened (SO_RXQ_OVFL, socket(7)).
    pub(super) fn try_receive(&self, buffer: &mut [u8]) -> io::Result<(usize, Option<u32>)> {
        let mut parts = [IoSliceMut::new(buffer)];
        let mut control = nix::cmsg_space!(u32);
        let fd = self.socket().as_raw_fd();
        let got = recvmsg::<()>(fd, &mut parts, Some(&mut control), MsgFlags::empty())?;
        let dropped = got.cmsgs()?.find_map(|message| match message {
            ControlMessageOwned::RxqOvfl(total) => Some(total),
            _ => None,
        });
        Ok((got.bytes, dropped))
    }

    /// Receives the next packet: its length and its sender.
    pub(super) async fn receive(&self, buffer: &mut [u8]) -> io::Result<(usize, Option<IpAddr>)> {
        let receive = |socket: &Socket| Ok(recvfrom::<SockaddrStorage>(socket.as_raw_fd(), buffer)?);
        // An error alone does not make a socket readable (epoll_ctl(2), EPOLLERR).
        let (length, from) = self.0.async_io(Interest::READABLE | Interest::ERROR, receive).await?;
        Ok((length, from.as_ref().and_then(links::ip)))
    }

    /// The outcome that an error of this socket stands for, with the address of its reporter unless the prober's own
    /// kernel reported it.
    pub(super) fn outcome(&self, error: &io::Error) -> ProbeOutcome {
        match (errno::outcome(error), self.reporter()) {
            (ProbeOutcome::Refused { what, .. }, from) => ProbeOutcome::Refused { from, what },
            (ProbeOutcome::Unreachable { why }, Some(from)) => {
                ProbeOutcome::Unreachable { why: format!("{why}, says {from}") }
            }
            (other, _) => other,
        }
    }

    /// The router or host that reported the first error in the socket's error queue.
    fn reporter(&self) -> Option<IpAddr> {
        let mut rest = [0; 1];
        let mut parts = [IoSliceMut::new(&mut rest)];
        let mut control = vec![0; 512];
        let fd = self.socket().as_raw_fd();
        let got = recvmsg::<SockaddrStorage>(fd, &mut parts, Some(&mut control), MsgFlags::MSG_ERRQUEUE);
        got.ok()?.cmsgs().ok()?.find_map(|message| match message {
            ControlMessageOwned::Ipv4RecvErr(_, Some(by)) => {
                let by = SockaddrIn::from(by).ip();
                (!by.is_unspecified()).then_some(IpAddr::V4(by))
            }
            ControlMessageOwned::Ipv6RecvErr(_, Some(by)) => {
                let by = SockaddrIn6::from(by).ip();
                (!by.is_unspecified()).then_some(IpAddr::V6(by))
            }
            _ => None,
        })
    }
}
