//! Frames of every kind on a link.

use std::collections::BTreeSet;
use std::io;

use probe::{Ask, Mac, Nonce, ProbeOutcome};

use super::outlet::Outlet;
use super::{Scan, run};
use crate::packet::{Kind, framed};
use crate::prober::attempt::Attempt;

/// What to send on a link, as in [`Ask::Frames`].
#[derive(Debug)]
pub(in crate::prober) struct Frames {
    pub(in crate::prober) link: String,
    pub(in crate::prober) to: Vec<Mac>,
    pub(in crate::prober) source: Option<Mac>,
    pub(in crate::prober) types: Vec<(u16, u16)>,
    pub(in crate::prober) vlans: Vec<u16>,
    pub(in crate::prober) saps: Vec<u8>,
}

/// Sends each kind of frame to each address, in every round.
pub(in crate::prober) async fn ask(attempt: &Attempt, frames: Frames) -> io::Result<ProbeOutcome> {
    let (outlet, own) = Outlet::frames(&frames.link)?;
    let kinds = kinds(&frames);
    let (nonce, from) = (attempt.nonce.clone(), frames.source.unwrap_or(own));
    run(attempt, &Sent { nonce, from, to: frames.to, kinds }, Ask::ROUNDS, &outlet, None).await
}

fn kinds(frames: &Frames) -> Vec<Kind> {
    let types: BTreeSet<u16> = frames.types.iter().flat_map(|&(first, last)| first..=last).collect();
    let types = types.range(Ask::ETHER_TYPES).map(|number| Kind::Type(*number));
    let vlans = frames.vlans.iter().flat_map(|vlan| [Kind::Tagged(*vlan), Kind::TwiceTagged(*vlan)]);
    types.chain(vlans).chain(frames.saps.iter().map(|sap| Kind::Sap(*sap))).collect()
}

struct Sent {
    nonce: Nonce,
    from: Mac,
    to: Vec<Mac>,
    kinds: Vec<Kind>,
}

impl Scan for Sent {
    fn packets(&self) -> usize {
        self.kinds.len() * self.to.len()
    }

    fn packet(&self, place: usize) -> Vec<u8> {
        let (kind, to) = (self.kinds[place / self.to.len()], self.to[place % self.to.len()]);
        framed(&self.nonce, kind, to, self.from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_has_as_many_frames_as_the_question_needs() {
        let frames = || Frames {
            link: "eth0".to_owned(),
            to: vec![Mac::BROADCAST, Mac([2; 6])],
            source: None,
            types: vec![(0, 0x0602), (0xffff, 0xffff), (0x0601, 0x0601)],
            vlans: vec![5],
            saps: vec![0x42],
        };
        let kinds = kinds(&frames());
        assert_eq!(kinds.len(), 4 + 2 + 1);
        let Frames { link, to, source, types, vlans, saps } = frames();
        let sent = Sent { nonce: Nonce::new(1, 1), from: Mac([4; 6]), to: to.clone(), kinds };
        let ask = Ask::Frames { link, to, source, types, vlans, saps };
        assert_eq!(ask.packets_at_least(), sent.packets() as u64 * u64::from(Ask::ROUNDS));
        let all: BTreeSet<Vec<u8>> = (0..sent.packets()).map(|place| sent.packet(place)).collect();
        assert_eq!(all.len(), sent.packets());
    }
}
