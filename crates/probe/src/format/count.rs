//! The number of packets that a question needs. Pure.

use std::ops::RangeInclusive;

use super::{Ask, Batch};

impl Ask {
    /// How many times the prober sends a packet that gets no answer: a busy host may drop one without a trace.
    pub const TRIES: u32 = 3;
    /// How many times a long scan is sent while no packet of it is answered.
    pub const ROUNDS: u32 = 2;
    /// A scan of more packets than this is long.
    const FEW: u64 = 16;

    /// The fewest packets that must have left before silence means anything. A scan of all TCP ports needs 131070. The
    /// prober sends no more packets than this, apart from further links of a probe on all links, and from data on
    /// connections.
    pub fn packets_at_least(&self) -> u64 {
        let tries = u64::from(Self::TRIES);
        let scan = |packets: u64| packets * u64::from(Self::rounds(packets));
        match self {
            Self::Syn { ports, .. } | Self::Datagrams { ports, .. } => scan(covered(ports, 0..=u16::MAX)),
            Self::Protocols { protocols, .. } => scan(covered(protocols, 0..=u8::MAX)),
            Self::Frames { to, types, vlans, saps, .. } => {
                let kinds = covered(types, Self::ETHER_TYPES) + 2 * vlans.len() as u64 + saps.len() as u64;
                to.len() as u64 * kinds * u64::from(Self::ROUNDS)
            }
            // One more in each round: the echo request to all nodes.
            Self::NextHops { prefix, .. } => scan(addresses(*prefix) + 1),
            Self::Tcp { .. } | Self::Udp { .. } | Self::Ping { .. } | Self::Dns { .. } => tries,
            Self::Arp { .. } | Self::Neighbour { .. } | Self::Advertise { .. } | Self::Group { .. } => tries,
            Self::Raw { .. } | Self::Overlay { .. } => tries,
            // One connection: its silence is that of an open one.
            Self::HeldTcp { .. } | Self::Https { .. } | Self::Unix { .. } | Self::Look { .. } => 1,
        }
    }

    /// Whether the prober sends many packets from one socket: at most [`Batch::SCANS_AT_ONCE`] of these run at the same
    /// time.
    pub fn is_scan(&self) -> bool {
        let is_of_packets =
            matches!(self, Self::Syn { .. } | Self::Datagrams { .. } | Self::Protocols { .. });
        is_of_packets || matches!(self, Self::Frames { .. } | Self::NextHops { .. })
    }

    /// The EtherTypes. Lower numbers are lengths (IEEE 802.3, clause 3.2.6).
    pub const ETHER_TYPES: RangeInclusive<u16> = 0x0600..=0xffff;

    /// How many times a scan of this many packets is sent while it is silent.
    pub fn rounds(packets: u64) -> u32 {
        if packets <= Self::FEW { Self::TRIES } else { Self::ROUNDS }
    }
}

impl Batch {
    /// How many scans run at the same time, because the socket of each sees all packets that arrive. The others wait.
    pub const SCANS_AT_ONCE: usize = 16;
}

/// The addresses in a net.
fn addresses(prefix: u8) -> u64 {
    1 << 32_u8.saturating_sub(prefix)
}

/// How many numbers within `all` are in at least one of the ranges.
fn covered<T: Copy + Ord + Into<u64>>(ranges: &[(T, T)], all: RangeInclusive<T>) -> u64 {
    let mut sorted: Vec<(u64, u64)> = ranges
        .iter()
        .map(|&(first, last)| (first.max(*all.start()).into(), last.min(*all.end()).into()))
        .filter(|(first, last)| first <= last)
        .collect();
    sorted.sort_unstable();
    let (mut count, mut next) = (0, 0);
    for (first, last) in sorted {
        count += (last + 1).saturating_sub(first.max(next));
        next = next.max(last + 1);
    }
    count
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::net::Ipv4Addr;

    use super::*;
    use crate::Mac;

    fn syn(ports: Vec<(u16, u16)>) -> Ask {
        Ask::Syn { to: Ipv4Addr::LOCALHOST.into(), ports, via: None, from: None }
    }

    #[test]
    fn a_long_scan_needs_each_packet_twice_and_a_short_one_three_times() {
        assert_eq!(syn(vec![(1, 65535)]).packets_at_least(), 2 * 65535);
        assert_eq!(syn(vec![(1, 16)]).packets_at_least(), 48);
        assert_eq!(syn(vec![(22, 22), (20, 25), (9, 1)]).packets_at_least(), 18, "overlaps and empty ranges");
        assert_eq!(syn(Vec::new()).packets_at_least(), 0);
        let frames = |types, vlans, saps| Ask::Frames {
            link: "eth0".to_owned(),
            to: vec![Mac::BROADCAST, Mac([2; 6])],
            source: None,
            types,
            vlans,
            saps,
        };
        let all = frames(vec![(0, 0xffff)], vec![1, 4094], vec![0x42, 0xaa, 0xfe]);
        assert_eq!(all.packets_at_least(), 2 * 2 * (0xfa00 + 4 + 3));
        let hops = Ask::NextHops { link: "eth0".to_owned(), net: Ipv4Addr::LOCALHOST, prefix: 20 };
        assert_eq!(hops.packets_at_least(), 2 * 4096 + 2);
    }

    proptest::proptest! {
        #[test]
        fn ranges_cover_each_number_once(ranges: Vec<(u8, u8)>) {
            let numbers: BTreeSet<u8> = ranges.iter().flat_map(|&(first, last)| first..=last).collect();
            proptest::prop_assert_eq!(covered(&ranges, 0..=u8::MAX), numbers.len() as u64);
        }
    }
}
