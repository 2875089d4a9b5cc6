//! Multicast and broadcast datagrams.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use probe::ProbeOutcome;
use socket2::{Domain, Type};
use tokio::task::JoinSet;

use super::attempt::{Attempt, TRIES};
use super::reply::said;
use super::wire::Wire;
use crate::links::{self, Link};
use crate::packet::filled;

/// The most answers that are listed; more are ignored.
const LISTED: usize = 64;

/// Sends the nonce to a group on each link, and lists all answers until the time-out.
pub(super) async fn ask(attempt: &Attempt, to: SocketAddr, link: Option<&str>) -> io::Result<ProbeOutcome> {
    if to.is_ipv6() {
        attempt.first(links::may_send(link)).await?;
    }
    let outlets = outlets(to, link)?;
    let outlets = outlets.iter().map(|link| open(link, to)).collect::<io::Result<Vec<_>>>()?;
    let data = filled(&attempt.nonce, 0);
    let send = async || {
        // Every link is tried, but an error on one of them ends the probe: its silence would prove nothing there.
        let mut failure = None;
        for (place, (wire, to)) in outlets.iter().enumerate() {
            if place > 0 {
                attempt.turn().await;
            }
            failure = attempt.counted(wire.send_to(&data, *to)).await.err().or(failure);
        }
        let Some(error) = failure else { return Ok(()) };
        tokio::time::sleep(attempt.answer_timeout()).await; // the other links may answer
        Err(error)
    };
    let heard = attempt.insist(TRIES, send, listed(attempt, &outlets)).await;
    heard.or_else(|error| attempt.learnt().ok_or(error))
}

/// Lists the answers, up to [`LISTED`].
async fn listed(attempt: &Attempt, outlets: &[Outlet]) -> io::Result<ProbeOutcome> {
    let mut answers: JoinSet<Heard> = JoinSet::new();
    for (wire, _) in outlets {
        answers.spawn(hear(Arc::clone(wire)));
    }
    let (mut identity, mut from, mut what) = (None, None, Vec::new());
    while let Some(Ok((wire, heard))) = answers.join_next().await {
        let (bytes, peer) = heard?;
        if let ProbeOutcome::Answered { identity: who, what: words, .. } = said(&attempt.nonce, peer, &bytes)
        {
            let place = peer.map_or_else(String::new, |peer| format!(" from {peer}"));
            let name = who.as_ref().map_or_else(|| words.join(" "), |who| format!("witness {who}"));
            let word = format!("{name}{place}");
            identity = identity.or(who);
            from = from.or(peer);
            // A receiver answers each of the repeated datagrams.
            if !what.contains(&word) {
                what.push(word);
            }
            attempt.so_far(ProbeOutcome::Answered { identity: identity.clone(), from, what: what.clone() });
        }
        if what.len() >= LISTED {
            break;
        }
        answers.spawn(hear(wire));
    }
    Ok(ProbeOutcome::Answered { identity, from, what })
}

/// A socket bound to a link, and the group's address with the scope of that link.
type Outlet = (Arc<Wire>, SocketAddr);
/// A received datagram, and the socket that received it.
type Heard = (Arc<Wire>, io::Result<(Vec<u8>, Option<std::net::IpAddr>)>);

async fn hear(wire: Arc<Wire>) -> Heard {
    let mut buffer = [0; 1024];
    let heard = wire.receive(&mut buffer).await.map(|(length, from)| (buffer[..length].to_vec(), from));
    (wire, heard)
}

fn open(link: &Link, to: SocketAddr) -> io::Result<Outlet> {
    let wire = Wire::open(Domain::for_address(to), Type::DGRAM, None)?;
    let socket = wire.socket();
    socket.bind_device(Some(link.name.as_bytes()))?; // SO_BINDTODEVICE: independent of routes
    let mut to = to;
    match &mut to {
        SocketAddr::V4(_) => {
            socket.set_broadcast(true)?;
            socket.set_multicast_loop_v4(false)?; // a witness beside the prober must not receive it
        }
        SocketAddr::V6(to) => {
            socket.set_multicast_loop_v6(false)?;
            to.set_scope_id(link.index());
        }
    }
    Ok((Arc::new(wire), to))
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
        Some(name) => Err(io::Error::other(format!("link {name} does not exist"))),
        None => Err(io::Error::other("no link that is up has an address of this kind")),
    }
}
