//! Code that tests share with the processes that they start.

use ipnet::Ipv4Net;
use provisioner::plan::{Pool, Pools};

/// Pseudo-random choices, the same for the same seed (splitmix64, Steele et al., OOPSLA 2014).
#[derive(Debug, Clone)]
pub struct Choices(u64);

impl Choices {
    /// The choices of this seed.
    pub fn of(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number, from 0 to `end - 1`.
    pub fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((bits ^ (bits >> 31)) % end as u64) as usize
    }
}

/// The contents of a hosts file without the blocks of the home with this id.
pub fn without_blocks(bytes: &[u8], home: &str) -> Vec<u8> {
    let marker = |kind: &str| format!("# {kind} homelab-{home}.").into_bytes();
    let (mut inside, mut left) = (false, Vec::new());
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        inside |= line.starts_with(&marker("BEGIN"));
        if !inside {
            left.extend_from_slice(line);
        }
        inside &= !line.starts_with(&marker("END"));
    }
    left
}

/// Pools for 2048 instances.
pub fn vast_pools() -> Pools {
    let net = |a, b, size| Ipv4Net::new_assert([a, b, 0, 0].into(), size);
    Pools {
        subnet: Pool { range: net(172, 16, 12), block: 24, first: net(172, 20, 24) },
        pod: Pool { range: net(10, 0, 9), block: 20, first: net(10, 64, 20) },
        service: Pool { range: net(10, 128, 9), block: 20, first: net(10, 128, 20) },
        ..Pools::default()
    }
}
