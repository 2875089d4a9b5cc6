//! Pools of networks, and how the next free block is drawn.

use ipnet::Ipv4Net;

use super::{PlanError, Taken};

/// A range that is handed out in blocks of one size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    /// The whole range.
    pub range: Ipv4Net,
    /// The prefix length of a block.
    pub block: u8,
    /// The block that is drawn first; the ones behind it follow, then the ones before it.
    pub first: Ipv4Net,
}

/// Where new instances get their networks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pools {
    /// Host networks.
    pub subnet: Pool,
    /// Pod CIDRs.
    pub pod: Pool,
    /// Service CIDRs.
    pub service: Pool,
}

impl Default for Pools {
    /// 192.168.48.0/20 in /24s from .60, 10.240.0.0/12 in /16s from 10.244, 10.96.0.0/12 in /16s.
    fn default() -> Self {
        let net = |a, b, c, size| Ipv4Net::new_assert([a, b, c, 0].into(), size);
        Self {
            subnet: Pool { range: net(192, 168, 48, 20), block: 24, first: net(192, 168, 60, 24) },
            pod: Pool { range: net(10, 240, 0, 12), block: 16, first: net(10, 244, 0, 16) },
            service: Pool { range: net(10, 96, 0, 12), block: 16, first: net(10, 96, 0, 16) },
        }
    }
}

impl Pools {
    /// The ranges of all pools: no address of these may ever leave the host.
    pub fn ranges(&self) -> [Ipv4Net; 3] {
        [self.subnet.range, self.pod.range, self.service.range]
    }
}

impl Pool {
    /// All blocks, in the order in which they are drawn.
    fn blocks(&self) -> impl Iterator<Item = Ipv4Net> {
        let blocks: Vec<Ipv4Net> = self.range.subnets(self.block).into_iter().flatten().collect();
        let start = blocks.iter().position(|block| *block == self.first).unwrap_or(0);
        let len = blocks.len();
        (0..len).map(move |i| blocks[(start + i) % len])
    }

    /// The first block of which nobody uses any address.
    pub(super) fn next_free(&self, what: &'static str, taken: &Taken) -> Result<Ipv4Net, PlanError> {
        self.blocks().find(|block| taken.holder(*block).is_none()).ok_or_else(|| PlanError::Exhausted {
            what,
            pool: self.range,
            blocks: self.blocks().count(),
            size: self.block,
        })
    }
}
