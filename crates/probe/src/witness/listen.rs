//! Answers `<identity> <nonce>` to each nonce, and nothing to other data.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use probe::Nonce;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::report::Reporter;
use crate::packet::Seen;

/// The most connections at the same time. Further ones wait in the kernel's queue.
const CONNECTIONS: usize = 1024;
/// How long a connection may stay idle: longer than any prober holds one.
const TIMEOUT: Duration = Duration::from_secs(300);
/// The longest line, in bytes. A nonce is at the start of its line.
const LINE: u64 = 4096;

/// Listens, without accepting connections yet.
pub(super) fn tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = bound(address, Type::STREAM, Protocol::TCP)?;
    socket.listen(1024)?;
    TcpListener::from_std(socket.into())
}

/// Binds the socket, without reading yet.
pub(super) fn udp(address: SocketAddr) -> io::Result<UdpSocket> {
    UdpSocket::from_std(bound(address, Type::DGRAM, Protocol::UDP)?.into())
}

/// Binds to exactly this address: `[::]` does not include IPv4.
fn bound(address: SocketAddr, kind: Type, protocol: Protocol) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), kind.nonblocking(), Some(protocol))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    if kind == Type::STREAM {
        socket.set_reuse_address(true)?; // a previous witness may have ended just now (socket(7))
    }
    socket.bind(&SockAddr::from(address))?;
    Ok(socket)
}

/// Serves connections until the process ends.
pub(super) async fn serve_tcp(listener: TcpListener, identity: Arc<str>, reporter: Reporter) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
        let Ok((stream, peer)) = listener.accept().await else {
            // Probably out of file descriptors: connections that end free some.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let (identity, reporter) = (Arc::clone(&identity), reporter.clone());
        tokio::spawn(async move {
            // A peer that disconnects is no error of the witness.
            let _ = converse(stream, peer, &identity, &reporter).await;
            drop(slot);
        });
    }
}

async fn converse(
    mut stream: TcpStream,
    peer: SocketAddr,
    identity: &str,
    reporter: &Reporter,
) -> io::Result<()> {
    let to = stream.local_addr()?;
    let (reader, mut writer) = stream.split();
    let mut reader = BufReader::with_capacity(LINE as usize, reader);
    loop {
        let mut line = Vec::new();
        timeout(TIMEOUT, (&mut reader).take(LINE).read_until(b'\n', &mut line)).await??;
        let Some(nonce) = Nonce::parse(&line) else { return Ok(()) };
        let answer = format!("{identity} {nonce}\n");
        reporter.arrived(nonce, &seen("tcp", peer, to), None);
        timeout(TIMEOUT, writer.write_all(answer.as_bytes())).await??;
    }
}

/// Serves datagrams until the process ends.
pub(super) async fn serve_udp(socket: UdpSocket, identity: Arc<str>, reporter: Reporter) {
    let Ok(to) = socket.local_addr() else { return };
    let mut buffer = vec![0; usize::from(u16::MAX)];
    loop {
        // An error belongs to an earlier answer (ICMP unreachable). The next datagram is independent of it.
        let Ok((length, peer)) = socket.recv_from(&mut buffer).await else { continue };
        if let Some(nonce) = Nonce::parse(&buffer[..length]) {
            let answer = format!("{identity} {nonce}\n");
            reporter.arrived(nonce, &seen("udp", peer, to), None);
            let _ = socket.send_to(answer.as_bytes(), peer).await;
        }
    }
}

fn seen(protocol: &str, from: SocketAddr, to: SocketAddr) -> Seen {
    Seen { protocol: protocol.to_owned(), from: Some(from.to_string()), to: Some(to.to_string()) }
}
