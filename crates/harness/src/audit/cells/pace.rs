//! The rate, the time-out and the deadline of each batch, computed from its probes. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use probe::{Batch, Probe, VERSION};
use provisioner::slowdown::Slowdown;

use crate::audit::viewpoint::{Stand, Viewpoint};

/// Packets per second of all viewpoints that send at once. Two cores send, route and refuse about as many; a packet that
/// is dropped on its way is sent again in the second round of its scan.
const PACKETS: u32 = 120_000;
/// The lowest rate of a viewpoint, for those with few probes.
const LOWEST: u32 = 500;
/// The time-out of a probe after its last packet. An answer on a link between two containers takes less than a
/// millisecond; the remaining time is for processes that wait for a core.
const TIMEOUT: Duration = Duration::from_millis(800);
/// The time that a batch may take in addition to its sending time: a server under load may need seconds for a
/// handshake.
const GRACE: Duration = Duration::from_secs(10);

/// The batches of all viewpoints. Viewpoints with added routes send after the others, one kind after another, so each
/// kind has the whole rate of the host. It is divided by the number of packets that each viewpoint sends, so that all
/// end at the same time: the few that sweep all ports get nearly all of it. On nodes that are slower than containers,
/// rates fall and times grow by that factor.
pub(super) fn batches(
    probes: BTreeMap<Viewpoint, Vec<Probe>>,
    slowdown: Slowdown,
) -> BTreeMap<Viewpoint, Batch> {
    let mut beside = [0_u64; 3];
    for (viewpoint, probes) in &probes {
        beside[kind(viewpoint)] += packets_of(probes);
    }
    let of_host = packets_a_second(slowdown);
    let paced = probes.into_iter().map(|(viewpoint, probes)| {
        let rate = u64::from(of_host) * packets_of(&probes) / beside[kind(&viewpoint)].max(1);
        let rate = u32::try_from(rate).unwrap_or(u32::MAX).max(LOWEST.min(of_host));
        (viewpoint, batch(probes, rate, slowdown))
    });
    paced.collect()
}

/// The packets that the probes of all batches send at the most, approximately.
pub(super) fn packets(batches: &BTreeMap<Viewpoint, Batch>) -> u64 {
    batches.values().map(|batch| packets_of(&batch.probes)).sum()
}

/// The longest time that all batches take: the kinds of viewpoints send one after another, those of one kind together.
pub(super) fn time_limit(batches: &BTreeMap<Viewpoint, Batch>) -> Duration {
    let mut longest = [0_u64; 3];
    for (viewpoint, batch) in batches {
        let kind = &mut longest[kind(viewpoint)];
        *kind = batch.deadline_ms.max(*kind);
    }
    Duration::from_millis(longest.iter().sum())
}

/// Which viewpoints send at the same time.
fn kind(viewpoint: &Viewpoint) -> usize {
    match viewpoint.stand() {
        Stand::Pod | Stand::Node | Stand::Host => 0,
        Stand::Routed => 1,
        Stand::Pivot => 2,
    }
}

/// The packets per second on nodes with this slowdown.
fn packets_a_second(slowdown: Slowdown) -> u32 {
    let second = slowdown.stretch(Duration::from_secs(1)).as_secs();
    PACKETS / u32::try_from(second).unwrap_or(u32::MAX)
}

/// One batch at this rate, in packets per second.
fn batch(probes: Vec<Probe>, rate: u32, slowdown: Slowdown) -> Batch {
    let packets = packets_of(&probes);
    let scans = probes.iter().filter(|probe| probe.ask.is_scan()).count().div_ceil(Batch::SCANS_AT_ONCE);
    let sending = packets * 1000 / u64::from(rate);
    let answer_timeout_ms = slowdown.stretch(TIMEOUT).as_millis();
    // A scan waits for answers after each round. Scans of one group wait together, and the groups one after another.
    let waiting = 2 * answer_timeout_ms * scans as u64;
    // A busy host may send at half of the allowed rate.
    let deadline_ms = 2 * sending + waiting + slowdown.stretch(GRACE).as_millis();
    Batch { version: VERSION, deadline_ms, answer_timeout_ms, rate, probes }
}

/// The approximate maximum of packets that these probes send.
fn packets_of(probes: &[Probe]) -> u64 {
    const A_FEW: u64 = 10;
    probes.iter().map(|probe| A_FEW + probe.ask.packets_at_least()).sum()
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use probe::{Ask, Nonce};

    use super::*;
    use crate::audit::viewpoint::Route;

    fn node(number: usize, by: Route) -> Viewpoint {
        Viewpoint::Node { instance: "acme".to_owned(), node: format!("acme-{number}"), by }
    }

    fn sweep() -> Vec<Probe> {
        let ask =
            Ask::Syn { to: Ipv4Addr::LOCALHOST.into(), ports: vec![(30000, 32767)], via: None, from: None };
        vec![Probe { nonce: Nonce::new(1, 1), ask }]
    }

    #[test]
    fn probers_that_run_at_once_share_one_rate_and_have_time_to_send_all_their_packets() {
        let (fast, slow) = (Slowdown::NONE, Slowdown::EMULATED);
        for (viewpoints, slowdown, packets, answer_timeout_ms) in [
            (1, fast, 120_000, 800),
            (8, fast, 120_000, 800),
            (16, fast, 120_000, 800),
            (100, fast, 120_000, 800),
            (1, slow, 12_000, 8_000),
            (8, slow, 12_000, 8_000),
        ] {
            let of = |i| [(node(i, Route::Own), Vec::new()), (node(i, Route::Host), sweep())];
            let pivot = |i| (node(i, Route::Hypervisor), sweep());
            let all = (0..viewpoints).flat_map(|i| of(i).into_iter().chain([pivot(i)]));
            let batches = batches(all.collect(), slowdown);
            for stand in [Stand::Routed, Stand::Pivot] {
                let at_once = batches.iter().filter(|(at, _)| at.stand() == stand);
                let at_once: Vec<&Batch> = at_once.map(|(_, batch)| batch).collect();
                assert_eq!(at_once.len(), viewpoints);
                assert!(at_once.iter().map(|batch| batch.rate).sum::<u32>() <= packets);
                for batch in at_once {
                    let sending = 2 * 2768 * 1000 / u64::from(batch.rate);
                    assert!(batch.deadline_ms > sending + 3 * batch.answer_timeout_ms, "{batch:?}");
                    assert_eq!(batch.answer_timeout_ms, answer_timeout_ms);
                }
            }
        }
    }

    #[test]
    fn viewpoints_get_rates_by_the_number_of_their_packets_so_that_all_end_together() {
        let few = |by| (node(1, by), vec![Probe { nonce: Nonce::new(1, 2), ask: ping() }]);
        let all = [(node(0, Route::Own), sweep()), few(Route::Own), (node(2, Route::Own), Vec::new())];
        let batches = batches(all.into(), Slowdown::NONE);
        let rates: Vec<u32> = batches.values().map(|batch| batch.rate).collect();
        assert!(rates[0] > 119_000, "{rates:?}");
        assert_eq!(rates[1..], [500, 500], "few packets need not wait for the sweep");
    }

    fn ping() -> Ask {
        Ask::Ping { to: Ipv4Addr::LOCALHOST.into(), size: 64, dont_fragment: false }
    }
}
