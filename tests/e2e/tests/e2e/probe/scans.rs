//! Tests of scans, and of listening without a question: between prober and witness is a switch or a router of
//! `middle.sh`, which passes only some packets. Each scan finds the one kind that passes without being told which.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use anyhow::{Context, ensure};
use probe::{Answer, Ask, Batch, Cast, Mac, NextHop, Nonce, Peer, Probe, ProbeOutcome, VERSION, WitnessLine};
use provisioner::exec::{Command, Local, Runner};

use super::{RUN, THERE, answers, in_short, prepared, reports};

const SCRIPT: &str = include_str!("middle.sh");
/// The witness behind the router.
const BEYOND: Ipv4Addr = Ipv4Addr::new(192, 168, 49, 2);
/// The hardware addresses of the prober, the witness and the router, as in the script.
const WEST: Mac = Mac([2, 0, 0, 0, 0, 1]);
const EAST: Mac = Mac([2, 0, 0, 0, 0, 2]);
const ROUTER: Mac = Mac([2, 0, 0, 0, 0, 0xfe]);

/// What is between prober and witness: what it is, and rules of nftables for what it passes.
struct Middle {
    kind: &'static str,
    passes: &'static str,
}

/// What prober and witnesses reported.
struct Told {
    answers: Vec<Answer>,
    /// By the witness behind the middle.
    beyond: Vec<WitnessLine>,
    /// By the witness on the prober's own link.
    near: Vec<WitnessLine>,
}

impl Told {
    fn text(&self, number: usize) -> String {
        in_short(&self.answers[number].outcome)
    }

    /// The protocols as which the nonce of a probe arrived behind the middle.
    fn protocols(&self, number: u32) -> BTreeSet<&str> {
        let nonce = Nonce::new(RUN, number);
        let arrived = self.beyond.iter().filter_map(|line| match line {
            WitnessLine::Arrived(arrival) if arrival.nonce == nonce => Some(arrival.protocol.as_str()),
            _ => None,
        });
        arrived.collect()
    }
}

fn peers(lines: &[WitnessLine]) -> impl Iterator<Item = &Peer> {
    lines.iter().filter_map(|line| match line {
        WitnessLine::Peer(peer) => Some(peer),
        _ => None,
    })
}

async fn ask(middle: Middle, asks: impl IntoIterator<Item = Ask>) -> anyhow::Result<Told> {
    let probes = (0..).zip(asks).map(|(number, ask)| Probe { nonce: Nonce::new(RUN, number), ask }).collect();
    let batch =
        Batch { version: VERSION, deadline_ms: 30_000, answer_timeout_ms: 1000, rate: 100_000, probes };
    run(middle, batch, "").await
}

async fn run(Middle { kind, passes }: Middle, batch: Batch, stop: &str) -> anyhow::Result<Told> {
    let (folder, program) = prepared(&batch)?;
    let place = folder.path().display().to_string();
    let run =
        Command::within(Duration::from_secs(60), "unshare").args(["--net", "sh", "-euc", SCRIPT, "middle"]);
    Local.run(&run.arg(program).arg(place).args([kind, passes, stop])).await?;
    let mut answers = answers(&folder.path().join("answers"))?;
    let answers = batch.probes.iter().map(|probe| answers.remove(&probe.nonce).context("an answer"));
    Ok(Told {
        answers: answers.collect::<anyhow::Result<_>>()?,
        beyond: reports(&folder.path().join("witness"))?,
        near: reports(&folder.path().join("near"))?,
    })
}

fn syn(to: IpAddr, ports: (u16, u16), via: Option<NextHop>) -> Ask {
    Ask::Syn { to, ports: vec![ports], via, from: None }
}

fn frames(to: Vec<Mac>, types: (u16, u16), vlans: Vec<u16>) -> Ask {
    Ask::Frames {
        link: "west".to_owned(),
        to,
        source: None,
        types: vec![types],
        vlans,
        saps: vec![0x42, 0xaa],
    }
}

#[tokio::test]
async fn a_switch_that_passes_one_tcp_port_is_found_by_asking_all() -> anyhow::Result<()> {
    let middle = Middle {
        kind: "switch",
        passes: "ether type arp accept; tcp dport 8443 accept; tcp sport 8443 accept",
    };
    let told = ask(middle, [syn(THERE.into(), (1, 65535), None)]).await?;
    ensure!(told.text(0) == "SYN-ACK from 8443", "{:?}", told.answers);
    ensure!(told.protocols(0) == BTreeSet::from(["tcp"]), "{:?}", told.beyond);
    Ok(())
}

#[tokio::test]
async fn a_switch_that_passes_one_udp_port_is_found_by_asking_all() -> anyhow::Result<()> {
    let middle =
        Middle { kind: "switch", passes: "ether type arp accept; udp dport 53 accept; udp sport 53 accept" };
    let ports = vec![(1, 65535)];
    let told = ask(middle, [Ask::Datagrams { to: THERE.into(), ports, via: None, from: None }]).await?;
    ensure!(told.text(0) == "acme, witness at 53", "{:?}", told.answers);
    ensure!(told.protocols(0) == BTreeSet::from(["udp"]), "{:?}", told.beyond);
    Ok(())
}

#[tokio::test]
async fn a_switch_that_passes_one_ether_type_is_found_by_frames_of_all() -> anyhow::Result<()> {
    let middle = Middle { kind: "switch", passes: "ether type 0x88b5 accept" };
    let all = frames(vec![Mac::BROADCAST, EAST], (0x0600, 0xffff), vec![7]);
    let needed = all.packets_at_least();
    let told = ask(middle, [all, syn(THERE.into(), (1, 100), None)]).await?;
    ensure!(told.answers[0].outcome == ProbeOutcome::Silent, "{:?}", told.answers);
    ensure!(u64::from(told.answers[0].sent) == needed, "{:?} of {needed}", told.answers);
    ensure!(told.protocols(0) == BTreeSet::from(["ethertype 0x88b5"]), "{:?}", told.beyond);
    ensure!(told.protocols(1).is_empty(), "{:?}", told.beyond);
    Ok(())
}

#[tokio::test]
async fn a_switch_that_passes_nothing_leaves_silence_after_every_packet_was_sent_twice() -> anyhow::Result<()>
{
    let middle = Middle { kind: "switch", passes: "ether type arp accept" };
    let asks = [
        syn(THERE.into(), (1, 65535), None),
        Ask::Protocols { to: THERE.into(), protocols: vec![(0, 255)], via: None, from: None },
    ];
    let told = ask(middle, asks).await?;
    for (answer, sent) in told.answers.iter().zip([2 * 65535, 2 * 256]) {
        ensure!((&answer.outcome, answer.sent) == (&ProbeOutcome::Silent, sent), "{answer:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_second_router_is_found_and_asked_as_a_next_hop() -> anyhow::Result<()> {
    let via = || Some(NextHop { link: "west".to_owned(), mac: ROUTER });
    let protocols = |from| Ask::Protocols { to: BEYOND.into(), protocols: vec![(0, 255)], via: via(), from };
    let asks = [
        Ask::NextHops { link: "west".to_owned(), net: Ipv4Addr::new(192, 168, 48, 0), prefix: 24 },
        syn(BEYOND.into(), (8000, 9000), None),
        syn(BEYOND.into(), (8000, 9000), via()),
        Ask::Datagrams { to: BEYOND.into(), ports: vec![(50, 90)], via: via(), from: None },
        protocols(None),
        protocols(Some(Ipv4Addr::new(10, 9, 9, 9).into())),
    ];
    let told = ask(Middle { kind: "router", passes: "accept" }, asks).await?;
    let found = told.text(0);
    ensure!(found.lines().any(|line| line == format!("192.168.48.254 {ROUTER}")), "{found}");
    ensure!(
        found.lines().any(|line| line.starts_with("fe80::") && line.ends_with(&ROUTER.to_string())),
        "{found}"
    );
    ensure!(told.text(1) == "unreachable", "the kernel has no route: {:?}", told.answers);
    ensure!(told.text(2) == "SYN-ACK from 8443, RST from 8000-8442 8444-9000", "{:?}", told.answers);
    ensure!(told.text(3).starts_with("acme, witness at 53"), "{:?}", told.answers);
    ensure!(told.text(4).contains("echo reply by protocol 1"), "{:?}", told.answers);
    ensure!(told.answers[5].outcome == ProbeOutcome::Silent, "{:?}", told.answers);
    for (number, from) in [(4, "192.168.48.1"), (5, "10.9.9.9")] {
        let nonce = Nonce::new(RUN, number);
        let arrived = told.beyond.iter().any(|line| {
            matches!(line, WitnessLine::Arrived(it) if it.nonce == nonce && it.from.as_deref() == Some(from))
        });
        ensure!(arrived, "{number} did not arrive from {from}: {:?}", told.beyond);
    }
    Ok(())
}

#[tokio::test]
async fn a_prober_that_is_stopped_in_the_middle_is_never_silent() -> anyhow::Result<()> {
    let probes = vec![Probe { nonce: Nonce::new(RUN, 0), ask: syn(THERE.into(), (1, 65535), None) }];
    let batch = Batch { version: VERSION, deadline_ms: 2500, answer_timeout_ms: 600, rate: 20_000, probes };
    let told = run(Middle { kind: "switch", passes: "ether type arp accept" }, batch, "stop").await?;
    let ProbeOutcome::NotRun { why } = &told.answers[0].outcome else { anyhow::bail!("{:?}", told.answers) };
    ensure!(why.ends_with(&format!("sent {} of 131070 packets", told.answers[0].sent)), "{why}");
    ensure!((100..131_070).contains(&told.answers[0].sent), "{:?}", told.answers);
    Ok(())
}

#[tokio::test]
async fn a_witness_reports_each_sender_with_its_vlan_whether_or_not_it_was_asked() -> anyhow::Result<()> {
    let told = ask(
        Middle { kind: "switch", passes: "accept" },
        [frames(vec![Mac::BROADCAST, EAST], (0x88b5, 0x88b5), vec![7]), syn(THERE.into(), (1, 20), None)],
    )
    .await?;
    let seen = |ether_type, vlan, from: Option<Ipv4Addr>, cast| {
        let mac = Some(WEST);
        peers(&told.beyond).any(|peer| {
            (peer.mac, peer.ether_type, peer.vlan, peer.from, peer.cast)
                == (mac, ether_type, vlan, from.map(IpAddr::from), cast)
                && peer.link.as_deref() == Some("east")
        })
    };
    ensure!(seen(0x88b5, None, None, Cast::Broadcast), "{:?}", told.beyond);
    ensure!(seen(0x88b5, Some(7), None, Cast::Broadcast), "{:?}", told.beyond);
    ensure!(seen(0, None, None, Cast::Broadcast), "frames with a length: {:?}", told.beyond);
    ensure!(seen(0x0800, None, Some(super::HERE), Cast::Own), "{:?}", told.beyond);
    let answering = peers(&told.near).any(|peer| (peer.mac, peer.from) == (Some(EAST), Some(THERE.into())));
    ensure!(answering, "{:?}", told.near);
    Ok(())
}

#[tokio::test]
async fn a_witness_reports_what_a_switch_mirrors_although_no_probe_was_sent_there() -> anyhow::Result<()> {
    let told = ask(Middle { kind: "mirror", passes: "accept" }, []).await?;
    let mirrored = peers(&told.near).find(|peer| peer.mac == Some(EAST) && peer.cast == Cast::Other);
    let mirrored = mirrored.with_context(|| format!("{:?}", told.near))?;
    ensure!(mirrored.from == Some(THERE.into()) && mirrored.link.as_deref() == Some("west"), "{mirrored:?}");
    Ok(())
}
