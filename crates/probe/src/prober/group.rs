//! Datagrams to everybody: multicast and broadcast.

use std::io;
use std::net::SocketAddr;

use probe::Outcome;
use socket2::{Domain, Type};
use tokio::task::JoinSet;

use super::attempt::Attempt;
use super::reply::said;
use super::wire::Wire;
use crate::links::{self, Link};
use crate::packet::filled;

/// The most answers that are listed.
const LISTED: usize = 64;

/// Sends the nonce to a group out of each link, and lists everybody who answers until the time is up.
pub(super) async fn ask(attempt: &Attempt, to: SocketAddr, link: Option<&str>) -> io::Result<Outcome> {
    let mut answers: JoinSet<Heard> = JoinSet::new();
    let (mut failure, data) = (None, filled(&attempt.nonce, 0));
    for (place, link) in outlets(to, link)?.into_iter().enumerate() {
        if place > 0 {
            attempt.turn().await;
        } else {
            attempt.sent();
        }
        match send(&link, to, &data).await {
            Ok(wire) => drop(answers.spawn(hear(wire))),
            Err(error) => failure = Some(error),
        }
    }
    if let (true, Some(error)) = (answers.is_empty(), failure) {
        return Err(error);
    }
    let (mut identity, mut from, mut what) = (None, None, Vec::new());
    while let Some(Ok((wire, heard))) = answers.join_next().await {
        let (bytes, peer) = heard?;
        if let Outcome::Answered { identity: who, what: words, .. } = said(&attempt.nonce, peer, &bytes) {
            let place = peer.map_or_else(String::new, |peer| format!(" from {peer}"));
            let name = who.as_ref().map_or_else(|| words.join(" "), |who| format!("witness {who}"));
            identity = identity.or(who);
            from = from.or(peer);
            what.push(format!("{name}{place}"));
            attempt.so_far(Outcome::Answered { identity: identity.clone(), from, what: what.clone() });
        }
        if what.len() >= LISTED {
            break;
        }
        answers.spawn(hear(wire));
    }
    Ok(Outcome::Answered { identity, from, what })
}

/// A datagram, and the socket that it came by.
type Heard = (Wire, io::Result<(Vec<u8>, Option<std::net::IpAddr>)>);

async fn hear(wire: Wire) -> Heard {
    let mut buffer = [0; 1024];
    let heard = wire.receive(&mut buffer).await.map(|(length, from)| (buffer[..length].to_vec(), from));
    (wire, heard)
}

async fn send(link: &Link, to: SocketAddr, data: &[u8]) -> io::Result<Wire> {
    let wire = Wire::open(Domain::for_address(to), Type::DGRAM, None)?;
    let socket = wire.socket();
    socket.bind_device(Some(link.name.as_bytes()))?; // SO_BINDTODEVICE: whatever routes say
    let mut to = to;
    match &mut to {
        SocketAddr::V4(_) => {
            socket.set_broadcast(true)?;
            socket.set_multicast_loop_v4(false)?; // our own witness has not been reached
        }
        SocketAddr::V6(to) => {
            socket.set_multicast_loop_v6(false)?;
            to.set_scope_id(link.index());
        }
    }
    wire.send_to(data, to).await?;
    Ok(wire)
}

fn outlets(to: SocketAddr, name: Option<&str>) -> io::Result<Vec<Link>> {
    let speaks = |link: &Link| if to.is_ipv4() { link.ipv4().is_some() } else { link.ipv6().is_some() };
    let wanted = |link: &Link| match name {
        Some(name) => link.name == name,
        None => link.up && !link.loopback && speaks(link),
    };
    let found: Vec<_> = links::all()?.into_iter().filter(wanted).collect();
    match name {
        _ if !found.is_empty() => Ok(found),
        Some(name) => Err(io::Error::other(format!("there is no link {name}"))),
        None => Err(io::Error::other("no link has an address of this kind")),
    }
}
