//! TCP connections: used at once, or opened now and used later.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use probe::ProbeOutcome;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::attempt::{Attempt, TRIES};
use super::reply::{answered, said};

/// The most bytes of an answer that are read.
const ANSWER: usize = 1024;

/// Opens a connection. Without an answer, opens further ones in parallel, because the kernel repeats a SYN only after a
/// second (RFC 6298, section 2).
pub(super) async fn connect(attempt: &Attempt, to: SocketAddr) -> io::Result<TcpStream> {
    let mut tries = JoinSet::new();
    attempt.sent(1);
    attempt.waits();
    tries.spawn(TcpStream::connect(to));
    for _ in 1..TRIES {
        tokio::select! {
            biased;
            Some(tried) = tries.join_next() => return tried?,
            () = attempt.pause() => {}
        }
        attempt.sent(1);
        attempt.waits();
        tries.spawn(TcpStream::connect(to));
    }
    let tried = tries.join_next().await;
    tried.unwrap_or_else(|| Ok(Err(io::Error::other("no connection was tried"))))?
}

/// Connects, sends the nonce and reads a line. An established connection is an answer already, whichever program
/// accepted it.
pub(super) async fn ask(attempt: &Attempt, to: SocketAddr) -> io::Result<ProbeOutcome> {
    let mut stream = connect(attempt, to).await?;
    attempt.sent(1);
    attempt.waits();
    let connected = answered(Some(to.ip()), "connected");
    attempt.so_far(connected.clone());
    Ok(match converse(attempt, &mut stream).await {
        Ok(answer) if !answer.is_empty() => said(&attempt.nonce, Some(to.ip()), &answer),
        _ => connected,
    })
}

/// Connects, waits for `hold`, and sends the nonce only then. The established connection itself is no answer.
pub(super) async fn hold(attempt: &Attempt, to: SocketAddr, hold: Duration) -> io::Result<ProbeOutcome> {
    let mut stream = connect(attempt, to).await?;
    attempt.so_far(ProbeOutcome::NotRun {
        why: "connected, but the deadline was reached while the connection was held".to_owned(),
    });
    attempt.hold(hold).await;
    attempt.learns(|| None);
    let answer = converse(attempt, &mut stream).await?;
    if answer.is_empty() {
        let what = vec!["the peer closed the connection while it was held".to_owned()];
        return Ok(ProbeOutcome::Refused { from: None, what });
    }
    Ok(said(&attempt.nonce, Some(to.ip()), &answer))
}

/// Sends the nonce and reads the peer's answer, up to a line feed or the end of the connection.
async fn converse(attempt: &Attempt, stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    stream.write_all(format!("{}\n", attempt.nonce).as_bytes()).await?;
    let mut answer = Vec::new();
    while answer.len() < ANSWER && !answer.contains(&b'\n') {
        let mut part = [0; 256];
        match stream.read(&mut part).await? {
            0 => break,
            length => answer.extend_from_slice(&part[..length]),
        }
    }
    Ok(answer)
}
