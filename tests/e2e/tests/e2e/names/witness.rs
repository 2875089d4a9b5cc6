//! A name server that refuses all queries and records their names.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

/// Listens on a port of 127.0.0.1 until it is dropped.
pub(super) struct Witness {
    port: u16,
    asked: Arc<Mutex<Vec<String>>>,
    serves: JoinHandle<()>,
}

impl Witness {
    pub(super) async fn listen() -> anyhow::Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = socket.local_addr()?.port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let serves = tokio::spawn(serve(socket, Arc::clone(&asked)));
        Ok(Self { port, asked, serves })
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// All names that were queried so far.
    pub(super) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.serves.abort();
    }
}

async fn serve(socket: UdpSocket, asked: Arc<Mutex<Vec<String>>>) {
    let mut packet = [0; 1500];
    while let Ok((length, from)) = socket.recv_from(&mut packet).await {
        let Some(name) = question(&packet[..length]) else { continue };
        asked.lock().unwrap_or_else(PoisonError::into_inner).push(name);
        packet[2] |= 0x80; // the response flag (RFC 1035, section 4.1.1)
        packet[3] = packet[3] & 0xf0 | 5; // REFUSED
        let _ = socket.send_to(&packet[..length], from).await; // the resolver may have ended
    }
}

/// The name in a query (RFC 1035, section 4.1.2).
fn question(packet: &[u8]) -> Option<String> {
    let mut rest = packet.get(12..)?;
    let mut labels = Vec::new();
    loop {
        let (length, after) = rest.split_first()?;
        if *length == 0 {
            return Some(labels.join("."));
        }
        let (label, after) = after.split_at_checked(usize::from(*length))?;
        labels.push(String::from_utf8_lossy(label).to_ascii_lowercase());
        rest = after;
    }
}
