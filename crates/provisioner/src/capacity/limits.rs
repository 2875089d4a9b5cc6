//! The limits of a container node: memory, processor time and processes.

use super::{CapacityError, RESERVED_MEMORY, RESERVED_PROCESSORS, host};

/// The part of the host's memory that one node may use: a quarter of what the host does not keep for itself.
const MEMORY_PARTS: u64 = 4;
/// The limit is a multiple of this, in MiB: the total that a kernel reports differs by a few MiB from boot to boot.
const MEMORY_STEP: u64 = 256;
/// The least limit of memory, in MiB: what a node in a VM has by default.
const LEAST_MEMORY: u64 = 2560;
/// A quarter of the process ids that a kernel has by default (`kernel.pid_max`, proc_sys_kernel(5)). A control plane
/// with all of Kubernetes' pods has about 250 threads, and a node has at most 110 pods.
const PROCESSES: u64 = 8192;

/// The limits of a container node. Each node of a host has the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeLimits {
    /// Memory, in MiB.
    pub memory: u64,
    /// Processors whose whole time the node may use.
    pub processors: u64,
    /// Number of processes and threads.
    pub processes: u64,
}

impl NodeLimits {
    /// The limits on the host of this process. Containers of a host get them when they are made.
    ///
    /// # Errors
    /// [`CapacityError::Unread`] when the host's memory or processors cannot be read.
    pub fn here() -> Result<Self, CapacityError> {
        let (memory, processors) = (host::memory()?, host::processors()?);
        Ok(Self::of(memory.total, processors))
    }

    /// The limits on a host with this memory, in MiB, and this many processors. Pure.
    ///
    /// A node may use all processors of a small host, so that a cluster comes up as fast as the host allows; the kernel
    /// divides the time of busy processors evenly among nodes.
    pub fn of(memory: u64, processors: u64) -> Self {
        let part = memory.saturating_sub(RESERVED_MEMORY) / MEMORY_PARTS;
        Self {
            memory: (part / MEMORY_STEP * MEMORY_STEP).max(LEAST_MEMORY),
            processors: processors - processors / RESERVED_PROCESSORS,
            processes: PROCESSES,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_has_a_quarter_of_the_memory_and_all_processors_of_a_small_host() {
        let of = |memory, processors| {
            let limits = NodeLimits::of(memory, processors);
            (limits.memory, limits.processors)
        };
        assert_eq!(of(4_000, 1), (2560, 1));
        assert_eq!(of(23_552, 2), (5632, 2));
        assert_eq!(of(23_500, 4), (5376, 4));
        assert_eq!(of(64_000, 16), (15_616, 13));
    }
}
