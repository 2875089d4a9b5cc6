//! Pools of networks, and the search for the next free block. Pure.

use std::net::Ipv4Addr;
use std::ops::Range;

use ipnet::Ipv4Net;

/// A range that is divided into blocks of one size, one block for each instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    /// The whole range.
    pub range: Ipv4Net,
    /// The prefix length of a block.
    pub block: u8,
    /// The block that is tried first; then the blocks after it, then those before it.
    pub first: Ipv4Net,
}

/// The pools from which new instances get their networks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pools {
    /// The pool of the instances' subnets.
    pub subnet: Pool,
    /// The pool of pod CIDRs.
    pub pod: Pool,
    /// The pool of service CIDRs.
    pub service: Pool,
    /// The pool of the networks through which a hypervisor manages the nodes of an instance.
    pub management: Pool,
    /// The ranges that the hypervisor allows: each subnet must lie within one of them. `None` if all are allowed.
    pub allowed: Option<Vec<Ipv4Net>>,
}

impl Default for Pools {
    /// 192.168.48.0/20 in /24s from .60, 10.240.0.0/12 in /16s from 10.244, 10.96.0.0/12 in /16s, 10.232.0.0/18
    /// in /24s.
    fn default() -> Self {
        let net = |a, b, c, size| Ipv4Net::new_assert([a, b, c, 0].into(), size);
        Self {
            subnet: Pool { range: net(192, 168, 48, 20), block: 24, first: net(192, 168, 60, 24) },
            pod: Pool { range: net(10, 240, 0, 12), block: 16, first: net(10, 244, 0, 16) },
            service: Pool { range: net(10, 96, 0, 12), block: 16, first: net(10, 96, 0, 16) },
            management: Pool { range: net(10, 232, 0, 18), block: 24, first: net(10, 232, 0, 24) },
            allowed: None,
        }
    }
}

impl Pools {
    /// The same pools, with subnets only from these ranges.
    #[must_use]
    pub fn within(&self, allowed: Vec<Ipv4Net>) -> Self {
        Self { allowed: Some(allowed), ..self.clone() }
    }

    /// The ranges of all pools. Packets with addresses of these must never leave the host.
    pub fn ranges(&self) -> [Ipv4Net; 4] {
        [self.subnet.range, self.pod.range, self.service.range, self.management.range]
    }
}

/// The private ranges (RFC 1918), the one that is least used in homes and offices first.
const PRIVATE: [(Ipv4Addr, u8); 3] = [
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
];

impl Pools {
    /// A private range of this prefix length that overlaps no network in use and no pool: a range to move a pool to.
    pub(super) fn free_range(&self, size: u8, occupied: &Occupied) -> Option<Ipv4Net> {
        let pools = Occupied::of(self.ranges());
        let private = PRIVATE.iter().map(|(address, size)| Ipv4Net::new_assert(*address, *size));
        let mut ranges = private.flat_map(|range| range.subnets(size).into_iter().flatten());
        ranges.find(|range| occupied.end_in(*range).is_none() && pools.end_in(*range).is_none())
    }
}

/// The addresses in use, as closed intervals, ascending and without overlaps.
#[derive(Debug, Default)]
pub(super) struct Occupied(Vec<(u64, u64)>);

impl Occupied {
    pub(super) fn of(networks: impl IntoIterator<Item = Ipv4Net>) -> Self {
        let mut all: Vec<_> = networks.into_iter().map(ends).collect();
        all.sort_unstable();
        let mut merged: Vec<(u64, u64)> = Vec::with_capacity(all.len());
        for (begin, end) in all {
            match merged.last_mut() {
                Some((_, last)) if begin <= *last => *last = end.max(*last),
                _ => merged.push((begin, end)),
            }
        }
        Self(merged)
    }

    /// The last address of the first interval that overlaps this network. `None` if all its addresses are free.
    fn end_in(&self, net: Ipv4Net) -> Option<u64> {
        let (first, last) = ends(net);
        let place = self.0.partition_point(|(_, end)| *end < first);
        self.0.get(place).filter(|(begin, _)| *begin <= last).map(|(_, end)| *end)
    }
}

impl Pool {
    /// The number of blocks.
    pub(super) fn blocks(&self) -> u64 {
        self.block.checked_sub(self.range.prefix_len()).map_or(0, |bits| 1 << bits)
    }

    /// The number of blocks that each lie within one of these ranges.
    pub(super) fn blocks_within(&self, allowed: &[Ipv4Net]) -> u64 {
        self.places_within(allowed).iter().map(|places| places.end - places.start).sum()
    }

    /// The first free block, beginning at `first`. The search does one binary search for each interval in use, however
    /// many blocks the interval has.
    pub(super) fn next_free(&self, occupied: &Occupied) -> Option<Ipv4Net> {
        self.next_free_within(&[self.range], occupied)
    }

    /// The first free block, beginning at `first`, that lies within one of these ranges.
    pub(super) fn next_free_within(&self, allowed: &[Ipv4Net], occupied: &Occupied) -> Option<Ipv4Net> {
        let first = if self.range.contains(&self.first) { self.place(ends(self.first).0) } else { 0 };
        let all = self.places_within(allowed);
        let behind = all.iter().find_map(|at| self.free_in(at.start.max(first)..at.end, occupied));
        behind.or_else(|| all.iter().find_map(|at| self.free_in(at.start..at.end.min(first), occupied)))
    }

    /// The indexes of the blocks that each lie within one of these ranges, ascending. A range that is smaller than a
    /// block has none, even if two such ranges together make up a block: each range counts alone.
    fn places_within(&self, allowed: &[Ipv4Net]) -> Vec<Range<u64>> {
        let large: Vec<Ipv4Net> =
            allowed.iter().filter(|range| range.prefix_len() <= self.block).copied().collect();
        let apart = Ipv4Net::aggregate(&large).into_iter().filter_map(|range| {
            let part = if range.contains(&self.range) { self.range } else { range };
            let blocks = 1 << self.block.checked_sub(part.prefix_len())?;
            let begin = self.range.contains(&part).then(|| self.place(ends(part).0))?;
            Some(begin..begin + blocks)
        });
        let mut apart: Vec<Range<u64>> = apart.collect();
        apart.sort_by_key(|places| places.start);
        apart
    }

    fn free_in(&self, places: Range<u64>, occupied: &Occupied) -> Option<Ipv4Net> {
        let mut place = places.start;
        while place < places.end {
            let begin = u32::try_from(ends(self.range).0 + place * self.size()).ok()?;
            let block = Ipv4Net::new(begin.into(), self.block).ok()?;
            match occupied.end_in(block) {
                None => return Some(block),
                Some(end) if end > ends(self.range).1 => return None,
                Some(end) => place = self.place(end) + 1,
            }
        }
        None
    }

    /// The index of the block that contains this address of the range.
    fn place(&self, address: u64) -> u64 {
        (address - ends(self.range).0) / self.size()
    }

    fn size(&self) -> u64 {
        1 << (32 - u32::from(self.block.min(32)))
    }
}

/// The first and the last address, in 64 bits so that the address after the last one does not overflow.
fn ends(net: Ipv4Net) -> (u64, u64) {
    (u32::from(net.network()).into(), u32::from(net.broadcast()).into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The definition: in the order from `first` to the end and then from the beginning, the first block that overlaps
    /// no network in use.
    fn naive(pool: &Pool, used: &[Ipv4Net]) -> Option<Ipv4Net> {
        let blocks: Vec<Ipv4Net> = pool.range.subnets(pool.block).into_iter().flatten().collect();
        let start = blocks.iter().position(|block| *block == pool.first).unwrap_or(0);
        let mut drawn = blocks[start..].iter().chain(&blocks[..start]);
        drawn.find(|block| !used.iter().any(|net| net.contains(*block) || block.contains(net))).copied()
    }

    fn networks(within: Ipv4Net, most: usize) -> impl Strategy<Value = Vec<Ipv4Net>> {
        let net = (any::<u32>(), 0..=32_u8).prop_map(move |(bits, size)| {
            // Mostly in or near the range, so that they affect the result.
            let near = u32::from(within.network()) ^ (bits & (u32::from(within.hostmask()) * 4 + 3));
            Ipv4Net::new_assert(near.into(), size.max(within.prefix_len().saturating_sub(1))).trunc()
        });
        prop::collection::vec(net, 0..most)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        #[test]
        fn the_next_free_block_is_that_of_a_naive_search(
            (pool, used) in (16..=24_u8, 0..=7_u8, any::<u32>()).prop_flat_map(|(size, more, first)| {
                let range = Ipv4Net::new_assert([10, 96, 0, 0].into(), size);
                let block = size + more;
                let first = u32::from(range.network()) | (first & u32::from(range.hostmask()));
                let first = Ipv4Net::new_assert(first.into(), block).trunc();
                (Just(Pool { range, block, first }), networks(range, 40))
            })
        ) {
            let occupied = Occupied::of(used.iter().copied());
            prop_assert_eq!(pool.next_free(&occupied), naive(&pool, &used));
        }

        #[test]
        fn the_next_free_block_within_some_ranges_is_that_of_a_naive_search(
            (pool, allowed, used) in (16..=24_u8, 0..=7_u8, any::<u32>()).prop_flat_map(|(size, more, first)| {
                let range = Ipv4Net::new_assert([10, 96, 0, 0].into(), size);
                let block = size + more;
                let first = u32::from(range.network()) | (first & u32::from(range.hostmask()));
                let first = Ipv4Net::new_assert(first.into(), block).trunc();
                (Just(Pool { range, block, first }), networks(range, 6), networks(range, 40))
            })
        ) {
            let blocks: Vec<Ipv4Net> = pool.range.subnets(pool.block).into_iter().flatten().collect();
            let forbidden: Vec<Ipv4Net> =
                blocks.into_iter().filter(|block| !allowed.iter().any(|range| range.contains(block))).collect();
            let occupied = Occupied::of(used.iter().copied());
            let expected = naive(&pool, &[forbidden.clone(), used].concat());
            prop_assert_eq!(pool.next_free_within(&allowed, &occupied), expected);
            prop_assert_eq!(pool.blocks_within(&allowed), pool.blocks() - forbidden.len() as u64);
        }
    }

    #[test]
    fn the_first_and_the_last_block_of_the_address_space_can_be_drawn() {
        let all = Pool {
            range: Ipv4Net::new_assert([0, 0, 0, 0].into(), 0),
            block: 1,
            first: Ipv4Net::new_assert([128, 0, 0, 0].into(), 1),
        };
        let occupied = |nets: &[Ipv4Net]| Occupied::of(nets.iter().copied());
        let halves: Vec<Ipv4Net> = all.range.subnets(1).expect("a /0 has halves").collect();
        assert_eq!(all.next_free(&occupied(&[])), Some(halves[1]));
        assert_eq!(all.next_free(&occupied(&halves[1..])), Some(halves[0]));
        assert_eq!(all.next_free(&occupied(&halves)), None);
    }
}
