//! The ports of sweeps.

use crate::audit::subject::UDP_PORT;

use super::Depth;

/// The ports of a sweep's controls.
pub(super) const CONTROL: &[(u16, u16)] = &[(1, 2), (UDP_PORT, UDP_PORT), (65534, 65535)];

/// Services of nodes, etcd, Cilium, the kubelet, and the first NodePort.
const FEW: &[(u16, u16)] = &[
    (22, 22),
    (53, 53),
    (111, 111),
    (179, 179),
    (2379, 2380),
    (4240, 4240),
    (4244, 4244),
    (6443, 6443),
    (8472, 8472),
    (9100, 9100),
    (10250, 10250),
    (10256, 10259),
    (30000, 30000),
];
/// The other NodePorts.
const NODE_PORTS: (u16, u16) = (30001, 32767);

/// The ports of a sweep, as ranges: every one that a listener can have, a sample, or a few.
pub(super) fn of(depth: Depth) -> Vec<(u16, u16)> {
    match depth {
        Depth::Everything => vec![(1, 65535)],
        Depth::Sample => [FEW, &[NODE_PORTS]].concat(),
        Depth::Few => FEW.to_vec(),
    }
}
