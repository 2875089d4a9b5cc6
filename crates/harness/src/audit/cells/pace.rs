//! How fast a batch asks, how patient it is, and when it must be over: all of it follows from what is in it.

use std::collections::BTreeMap;

use probe::{Ask, Batch, Probe, VERSION};

use crate::audit::viewpoint::{Stand, Viewpoint};

/// Packets in a second of all viewpoints that ask at once. Two busy cores send, route and refuse twice as many, so that
/// none is dropped on its way.
const PACKETS: u32 = 40_000;
/// How long a probe waits after its last packet. An answer on a link between two containers takes less than a
/// millisecond; the rest is for processes that wait for a core.
const PATIENCE_MS: u64 = 800;
/// What a batch may take beyond the time in which it is sent: a server under load may need seconds for a handshake.
const GRACE_MS: u64 = 10_000;

/// The batches of all viewpoints. Those with routes of their own ask after the others, so that each kind has the
/// machine to itself.
pub(super) fn batches(probes: BTreeMap<Viewpoint, Vec<Probe>>) -> BTreeMap<Viewpoint, Batch> {
    let is_routed = |viewpoint: &Viewpoint| viewpoint.stand() == Stand::Routed;
    let routed = probes.keys().filter(|viewpoint| is_routed(viewpoint)).count();
    let others = probes.len() - routed;
    let paced = probes.into_iter().map(|(viewpoint, probes)| {
        let beside = if is_routed(&viewpoint) { routed } else { others };
        let rate = PACKETS / u32::try_from(beside.max(1)).unwrap_or(u32::MAX);
        (viewpoint, batch(probes, rate.max(1)))
    });
    paced.collect()
}

/// One batch at this rate.
fn batch(probes: Vec<Probe>, rate: u32) -> Batch {
    let packets: u64 = probes.iter().map(|probe| packets(&probe.ask)).sum();
    let sending = packets * 1000 / u64::from(rate);
    // A busy machine may send at half the rate that is allowed.
    Batch { version: VERSION, deadline_ms: 2 * sending + GRACE_MS, patience_ms: PATIENCE_MS, rate, probes }
}

/// How many packets a probe sends, at most and about.
fn packets(ask: &Ask) -> u64 {
    const A_FEW: u64 = 10;
    match ask {
        Ask::Syn { ports, .. } => {
            let count = |&(first, last): &(u16, u16)| u64::from(last.saturating_sub(first)) + 1;
            A_FEW + ports.iter().map(count).sum::<u64>()
        }
        _ => A_FEW,
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use probe::Nonce;

    use super::*;

    fn node(number: usize, routed: bool) -> Viewpoint {
        Viewpoint::Node { instance: "acme".to_owned(), node: format!("acme-{number}"), routed }
    }

    fn sweep() -> Vec<Probe> {
        let ask = Ask::Syn { to: Ipv4Addr::LOCALHOST, ports: vec![(30000, 32767)] };
        vec![Probe { nonce: Nonce::new(1, 1), ask }]
    }

    #[test]
    fn all_that_ask_at_once_share_one_rate_and_have_time_to_send_all_they_have() {
        for viewpoints in [1, 8, 16, 100] {
            let all = (0..viewpoints).flat_map(|i| [(node(i, true), sweep()), (node(i, false), Vec::new())]);
            let batches = batches(all.collect());
            let routed: Vec<&Batch> = batches
                .iter()
                .filter(|(at, _)| at.stand() == Stand::Routed)
                .map(|(_, batch)| batch)
                .collect();
            assert!(routed.iter().map(|batch| batch.rate).sum::<u32>() <= PACKETS);
            for batch in routed {
                let sending = 2768 * 1000 / u64::from(batch.rate);
                assert!(batch.deadline_ms > sending + 3 * batch.patience_ms, "{batch:?}");
            }
        }
    }
}
