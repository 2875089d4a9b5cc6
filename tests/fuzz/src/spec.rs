//! Specs: an accepted spec can be claimed and planned.

use provisioner::home::Home;
use provisioner::plan::{ClusterPlan, Pools, Taken};
use provisioner::request::{ClusterSpec, CniKind, EngineKind, NodeSize, Provider, Topology};

use crate::place::claimed;

/// A spec as lines: name, subnet, prefix, version, then words for the other fields: a letter and a number.
///
/// # Panics
/// When the plan of an accepted spec differs from the spec.
pub fn spec(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut lines = text.split('\n');
    let mut spec = ClusterSpec::new(lines.next().unwrap_or_default());
    let mut asked = || lines.next().filter(|line| !line.is_empty());
    if let Some(subnet) = asked() {
        spec = spec.subnet(subnet);
    }
    if let Some(prefix) = asked() {
        spec = spec.tld_prefix(prefix);
    }
    if let Some(version) = asked() {
        spec = spec.kubernetes(version);
    }
    for word in asked().unwrap_or_default().split(' ') {
        let (what, number) = word.split_at_checked(1).unwrap_or_default();
        let number: u32 = number.parse().unwrap_or_default();
        spec = match what {
            "s" => spec.topology(Topology::Single),
            "h" => spec.topology(Topology::Ha),
            "c" => spec.cni(CniKind::Cilium),
            "v" => spec.engine(EngineKind::Vagrant(Provider::Libvirt)),
            "w" => spec.workers(u8::try_from(number).unwrap_or(u8::MAX)),
            "m" => spec.size(NodeSize { memory_mib: number, ..NodeSize::default() }),
            "t" => spec.throw_away(),
            _ => spec,
        };
    }
    let checked = match spec.check() {
        Ok(checked) => checked,
        Err(error) => return assert!(!error.problems.is_empty() && !error.to_string().is_empty()),
    };
    let Ok(claimed) = claimed(&checked, &Taken::default(), &Pools::default()) else {
        return;
    };
    let plan = ClusterPlan::of(&claimed, &Home::at("/nonexistent/home"));
    let planes = if checked.topology == Topology::Ha { 3 } else { 1 };
    assert_eq!(plan.nodes.len(), planes + usize::from(checked.workers), "{spec:?}");
    for (place, node) in plan.nodes.iter().enumerate() {
        assert!(plan.subnet.contains(&node.address) && node.address != plan.subnet.broadcast(), "{plan:?}");
        assert!(plan.pod_cidr.contains(&node.pod_cidr), "{plan:?}");
        let others = &plan.nodes[place + 1..];
        assert!(others.iter().all(|other| other.address != node.address && other.pod_cidr != node.pod_cidr));
    }
}
