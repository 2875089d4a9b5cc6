//! Tests of the probe that need root and a separate network: packets of every kind over one veth pair.
//!
//! The network consists of two namespaces that `probe/wire.sh` makes; the host's network is not used. For each kind of
//! silence there is a similar probe that is answered, and the witness has seen each packet without an answer.

mod scans;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};
use camino::Utf8PathBuf;
use probe::{
    Answer, Arrival, Ask, Batch, Nonce, Overlay, Probe, ProbeOutcome, ProbeResult, VERSION, WitnessLine,
};
use provisioner::assets::PROBE;
use provisioner::exec::{Command, Local, Runner};
use tempfile::TempDir;

const RUN: u32 = 0x00c0_ffee;
const HERE: Ipv4Addr = Ipv4Addr::new(192, 168, 48, 1);
const THERE: Ipv4Addr = Ipv4Addr::new(192, 168, 48, 2);
const UNUSED: Ipv4Addr = Ipv4Addr::new(192, 168, 48, 9);
const SCRIPT: &str = include_str!("probe/wire.sh");

/// A probe, its expected outcome in short, and the protocol as which its nonce arrives; `None` if it does not.
type Row = (Ask, &'static str, Option<&'static str>);

fn rows() -> anyhow::Result<Vec<Row>> {
    let there = |port: u16| SocketAddr::from((THERE, port));
    let six: IpAddr = "fd00:48::2".parse()?;
    let neighbour = |target: &str| {
        Ok::<_, std::net::AddrParseError>(Ask::Neighbour { target: target.parse()?, link: None })
    };
    let ping = |to: IpAddr, size, dont_fragment| Ask::Ping { to, size, dont_fragment };
    let group = |to: &str| Ok::<_, std::net::AddrParseError>(Ask::Group { to: to.parse()?, link: None });
    let raw = |protocol| Ask::Raw { to: THERE, protocol };
    let syn = |ports| Ask::Syn { to: THERE.into(), ports, via: None, from: None };
    let overlay =
        |port, overlay| Ask::Overlay { to: there(port), overlay, inner: Ipv4Addr::new(192, 168, 49, 1) };
    let arp = |target, link: Option<&str>| Ask::Arp { target, link: link.map(str::to_owned) };
    let refused = "refused by 192.168.48.2";
    Ok(vec![
        (Ask::Tcp { to: there(7001) }, "acme", Some("tcp")),
        (syn(vec![(7000, 7002)]), "SYN-ACK from 7001, RST from 7000 7002", Some("tcp")),
        (syn(vec![(7003, 7003)]), refused, Some("tcp")),
        (Ask::Udp { to: there(7001), size: 20 }, "acme", Some("udp")),
        (Ask::Udp { to: there(7009), size: 4000 }, refused, Some("udp")),
        (Ask::Udp { to: (UNUSED, 7001).into(), size: 20 }, "unreachable", None),
        (Ask::Udp { to: (six, 7001).into(), size: 4000 }, "acme", Some("udp")),
        (ping(THERE.into(), 56, false), "echo reply", Some("icmp")),
        (ping(THERE.into(), 4000, false), "echo reply", Some("icmp")),
        (ping(THERE.into(), 1300, true), "echo reply", Some("icmp")),
        (ping(THERE.into(), 4000, true), "not run", None),
        (ping(six, 4000, false), "echo reply", Some("icmpv6")),
        (ping("ff02::1".parse()?, 56, false), "echo reply", Some("icmpv6")),
        (arp(THERE, None), "is at", Some("arp")),
        (arp(UNUSED, Some("west")), "silent", Some("arp")),
        (arp(THERE, Some("lo")), "not run", None),
        (neighbour("fd00:48::2")?, "is at", Some("icmpv6")),
        // No node has joined ff02::1:ff00:9, but a veth pair without a bridge delivers its packets all the same.
        (neighbour("fd00:48::9")?, "silent", Some("icmpv6")),
        (group("224.0.0.251:5353")?, "silent", Some("udp")),
        (group("192.168.48.255:7001")?, "silent", Some("udp")),
        (group("[ff02::1]:7001")?, "silent", Some("udp")),
        (Ask::Advertise { link: None }, "silent", Some("icmpv6")),
        (raw(47), refused, Some("protocol 47")),
        (raw(50), refused, Some("protocol 50")),
        (raw(132), refused, Some("protocol 132")),
        (overlay(8472, Overlay::Vxlan), refused, Some("udp")),
        (overlay(6081, Overlay::Geneve), refused, Some("udp")),
        (Ask::Tcp { to: ([192, 168, 63, 1], 7001).into() }, "unreachable", None),
    ])
}

#[tokio::test]
async fn a_probe_of_every_kind_is_answered_or_seen_across_a_cable() -> anyhow::Result<()> {
    let rows = rows()?;
    let (answers, arrivals) = over_the_cable(rows.iter().map(|(ask, ..)| ask.clone())).await?;
    for (number, (ask, expected, protocol)) in (0..).zip(&rows) {
        let nonce = Nonce::new(RUN, number);
        let outcome = &answers.get(&nonce).context("an answer")?.outcome;
        let text = in_short(outcome);
        ensure!(text.contains(expected), "{ask:?}: {outcome:?} is not {expected:?}");
        let seen: Vec<_> = arrivals.iter().filter(|arrival| arrival.nonce == nonce).collect();
        ensure!(seen.is_empty() == protocol.is_none(), "{ask:?} arrived as {seen:?}");
        for arrival in seen {
            ensure!(Some(arrival.protocol.as_str()) == *protocol, "{ask:?} arrived as {arrival:?}");
            let link = arrival.link.as_deref();
            ensure!(matches!(link, None | Some("east")), "{ask:?} arrived by {arrival:?}");
            let from = arrival.from.as_deref().context("a sender")?;
            let ours = [&HERE.to_string(), "fd00:48::1", "[fd00:48::1]", "fe80::", "[fe80::"];
            ensure!(ours.iter().any(|our| from.starts_with(*our)), "{ask:?} arrived from {from}");
        }
    }
    Ok(())
}

/// Runs the probes, and returns the prober's answers and the witness's arrivals.
async fn over_the_cable(
    asks: impl Iterator<Item = Ask>,
) -> anyhow::Result<(BTreeMap<Nonce, Answer>, Vec<Arrival>)> {
    let probes = (0..).zip(asks).map(|(number, ask)| Probe { nonce: Nonce::new(RUN, number), ask }).collect();
    // The kernel takes three seconds to find that no node has an address (arp(7)), so the time-out is longer.
    let batch = Batch { version: VERSION, deadline_ms: 12_000, answer_timeout_ms: 4000, rate: 1000, probes };
    let (folder, program) = prepared(&batch)?;
    let run =
        Command::within(Duration::from_secs(30), "unshare").args(["--net", "sh", "-euc", SCRIPT, "wire"]);
    Local.run(&run.arg(program).arg(folder.path().display().to_string())).await?;

    let mut arrivals = Vec::new();
    for line in reports(&folder.path().join("witness"))? {
        match line {
            WitnessLine::Arrived(arrival) => arrivals.push(arrival),
            WitnessLine::Ready { .. } | WitnessLine::Peer(_) | WitnessLine::PeersOmitted { .. } => {}
            WitnessLine::Lost { packets } => anyhow::bail!("{packets} packets were lost on an idle link"),
        }
    }
    Ok((answers(&folder.path().join("answers"))?, arrivals))
}

/// A folder with the probe's binary and a batch, and the path of the binary.
fn prepared(batch: &Batch) -> anyhow::Result<(TempDir, Utf8PathBuf)> {
    let folder = tempfile::tempdir()?;
    let program = Utf8PathBuf::try_from(folder.path().join("homelab-probe"))?;
    std::fs::write(&program, PROBE)?;
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755))?;
    std::fs::write(folder.path().join("batch"), serde_json::to_vec(batch)?)?;
    Ok((folder, program))
}

/// The answers in a prober's output.
fn answers(file: &Path) -> anyhow::Result<BTreeMap<Nonce, Answer>> {
    let mut answers = BTreeMap::new();
    for line in std::fs::read_to_string(file)?.lines() {
        if let ProbeResult::Answer(answer) = serde_json::from_str(line)? {
            answers.insert(answer.nonce.clone(), answer);
        }
    }
    Ok(answers)
}

/// The lines of a witness's output.
fn reports(file: &Path) -> anyhow::Result<Vec<WitnessLine>> {
    let text = std::fs::read_to_string(file)?;
    Ok(text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?)
}

fn in_short(outcome: &ProbeOutcome) -> String {
    match outcome {
        ProbeOutcome::Answered { identity, what, .. } => {
            identity.clone().into_iter().chain(what.iter().cloned()).collect::<Vec<_>>().join(", ")
        }
        ProbeOutcome::Refused { from, .. } => {
            format!("refused by {}", from.map(|it| it.to_string()).unwrap_or_default())
        }
        ProbeOutcome::Unreachable { .. } => "unreachable".to_owned(),
        ProbeOutcome::Silent => "silent".to_owned(),
        ProbeOutcome::NotRun { .. } => "not run".to_owned(),
        ProbeOutcome::Seen { lines, .. } => lines.join("\n"),
    }
}
