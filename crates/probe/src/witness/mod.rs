//! `witness`: records every nonce that arrives, and answers with its name.
//!
//! The audit's verdicts depend on its reports. So it listens only where it is told to, never sends first, and reports
//! packets that it may have missed. `capture` also sees packets that reach no socket of the system.

mod report;
mod listen;
mod capture;
mod peers;

use std::ffi::OsString;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::thread;

use lexopt::{Arg, Parser, ValueExt};
use nix::libc;
use probe::{VERSION, WitnessLine};
use socket2::{Domain, InterfaceIndexOrAddress, Socket, Type};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use crate::lines::Lines;
use crate::links;
use peers::Peers;
use report::Reporter;

/// The most lines that wait for the reader. Further arrivals are lost.
const WAITING: usize = 20_000;

/// Why a witness could not start, or had to end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WitnessError {
    #[error("{0}")]
    Usage(#[from] lexopt::Error),
    #[error("listen on {on}")]
    Listen {
        on: String,
        #[source]
        source: io::Error,
    },
    #[error("capture packets")]
    Capture(#[source] io::Error),
    #[error("start")]
    Start(#[source] io::Error),
}

/// The witness's arguments.
#[derive(Debug, Default, PartialEq, Eq)]
struct Orders {
    identity: String,
    tcp: Vec<SocketAddr>,
    udp: Vec<SocketAddr>,
    join: Vec<IpAddr>,
    capture: Capture,
}

/// The links whose frames are captured.
#[derive(Debug, Default, PartialEq, Eq)]
enum Capture {
    #[default]
    Nothing,
    Everything,
    Link(String),
}

impl Orders {
    fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Self, lexopt::Error> {
        let mut orders = Self::default();
        let mut parser = Parser::from_args(words);
        while let Some(arg) = parser.next()? {
            match arg {
                Arg::Long("identity") => orders.identity = parser.value()?.string()?,
                Arg::Long("tcp") => orders.tcp.push(parser.value()?.parse()?),
                Arg::Long("udp") => orders.udp.push(parser.value()?.parse()?),
                Arg::Long("join") => orders.join.push(parser.value()?.parse()?),
                Arg::Long("capture") => {
                    orders.capture = match parser.optional_value() {
                        None => Capture::Everything,
                        Some(link) => Capture::Link(link.string()?),
                    }
                }
                other => return Err(other.unexpected()),
            }
        }
        let plain = |byte: u8| byte.is_ascii_graphic();
        if orders.identity.is_empty() || !orders.identity.bytes().all(plain) {
            return Err("--identity must be a name without blanks".into());
        }
        if let Some(group) = orders.join.iter().find(|group| !group.is_multicast()) {
            return Err(format!("{group} is not a multicast group").into());
        }
        Ok(orders)
    }
}

/// Listens and reports until SIGTERM, SIGINT or until the reader closes standard output.
pub(crate) fn run(words: impl IntoIterator<Item = OsString>) -> Result<(), WitnessError> {
    let orders = Orders::parse(words)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(WitnessError::Start)?;
    let end = runtime.block_on(watch(orders));
    runtime.shutdown_background();
    end
}

async fn watch(orders: Orders) -> Result<(), WitnessError> {
    let (lines, mut ended) = Lines::start(WAITING).map_err(WitnessError::Start)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(WitnessError::Start)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(WitnessError::Start)?;
    let reporter = Reporter::new(lines.clone());
    let mut on = Vec::new();

    let _memberships = join(&orders.join, &mut on)?;
    // From here on frames wait in the socket, so none is missed between here and `Ready`.
    let frames = capture(&orders.capture, &mut on).map_err(WitnessError::Capture)?;
    listen(&orders, &reporter, &mut on)?;
    lines.say(&WitnessLine::Ready { version: VERSION, identity: orders.identity, on });

    let (broken, mut breaks) = oneshot::channel();
    let capturing = frames.is_some();
    if let Some((frames, link)) = frames {
        let work = move || broken.send(capture::watch(&frames, link, &reporter, Peers::new(lines)));
        thread::Builder::new().name("capture".to_owned()).spawn(work).map_err(WitnessError::Start)?;
    }
    tokio::select! {
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
        _ = ended.wait() => Ok(()),
        Ok(Err(error)) = &mut breaks, if capturing => Err(WitnessError::Capture(error)),
    }
}

/// The capturing socket, and the index of its link if it captures only one.
fn capture(wanted: &Capture, on: &mut Vec<String>) -> io::Result<Option<(Socket, Option<u32>)>> {
    let links = links::all()?;
    let number = match wanted {
        Capture::Nothing => return Ok(None),
        Capture::Everything => None,
        Capture::Link(name) => {
            let link = links.iter().find(|link| link.name == *name);
            let link = link.ok_or_else(|| io::Error::other(format!("link {name} does not exist")))?;
            Some(link.index())
        }
    };
    let frames = capture::open(number)?;
    let seen = links.iter().filter(|link| link.up && number.is_none_or(|number| number == link.index()));
    on.extend(seen.map(|link| format!("packets {}", link.name)));
    Ok(Some((frames, number)))
}

fn listen(orders: &Orders, reporter: &Reporter, on: &mut Vec<String>) -> Result<(), WitnessError> {
    let failed = |on: String| move |source| WitnessError::Listen { on, source };
    let identity: Arc<str> = orders.identity.as_str().into();
    for address in &orders.tcp {
        let listener = listen::tcp(*address).map_err(failed(format!("tcp {address}")))?;
        let bound = listener.local_addr().map_err(failed(format!("tcp {address}")))?;
        on.push(format!("tcp {bound}"));
        tokio::spawn(listen::serve_tcp(listener, Arc::clone(&identity), reporter.clone()));
    }
    for address in &orders.udp {
        let socket = listen::udp(*address).map_err(failed(format!("udp {address}")))?;
        let bound = socket.local_addr().map_err(failed(format!("udp {address}")))?;
        on.push(format!("udp {bound}"));
        tokio::spawn(listen::serve_udp(socket, Arc::clone(&identity), reporter.clone()));
    }
    Ok(())
}

/// Joins groups on every link, so that switches which snoop IGMP and MLD forward the groups' packets. A membership
/// lasts as long as its socket, which is bound to no address.
fn join(groups: &[IpAddr], on: &mut Vec<String>) -> Result<Vec<Socket>, WitnessError> {
    let mut memberships = Vec::new();
    for group in groups {
        let failed = |source| WitnessError::Listen { on: format!("group {group}"), source };
        let domain = if group.is_ipv4() { Domain::IPV4 } else { Domain::IPV6 };
        let socket = Socket::new(domain, Type::DGRAM, None).map_err(failed)?;
        let links = links::all().map_err(failed)?;
        for link in links.iter().filter(|link| link.up && !link.loopback) {
            let joined = match group {
                IpAddr::V4(group) => {
                    let index = InterfaceIndexOrAddress::Index(link.index());
                    socket.join_multicast_v4_n(group, &index)
                }
                IpAddr::V6(group) => socket.join_multicast_v6(group, link.index()),
            };
            match joined {
                Ok(()) => on.push(format!("group {group} {}", link.name)),
                // A link without addresses of this family, such as a new TUN device, has no groups of it.
                Err(error) if error.raw_os_error() == Some(libc::ENODEV) => {}
                Err(error) => return Err(failed(error)),
            }
        }
        memberships.push(socket);
    }
    Ok(memberships)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn parse(words: &str) -> Result<Orders, String> {
        Orders::parse(words.split(' ').map(OsString::from)).map_err(|error| error.to_string())
    }

    #[test]
    fn arguments_of_the_witness_are_parsed_and_invalid_ones_are_refused() {
        let orders = parse(
            "--identity acme --tcp 127.0.0.1:1 --tcp [::1]:2 --udp 127.0.0.1:3 --join ff02::fb --capture",
        );
        let expected = Orders {
            identity: "acme".to_owned(),
            tcp: vec!["127.0.0.1:1".parse().unwrap(), "[::1]:2".parse().unwrap()],
            udp: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 3))],
            join: vec!["ff02::fb".parse().unwrap()],
            capture: Capture::Everything,
        };
        assert_eq!(orders, Ok(expected));
        let link = parse("--identity acme --capture=hl-acme").map(|orders| orders.capture);
        assert_eq!(link, Ok(Capture::Link("hl-acme".to_owned())));
        for wrong in
            ["--tcp 127.0.0.1:1", "--identity a\u{a0}b", "--identity a --tcp 1", "--identity a --loud"]
        {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        assert_eq!(
            parse("--identity a --join 10.0.0.1"),
            Err("10.0.0.1 is not a multicast group".to_owned())
        );
    }
}
