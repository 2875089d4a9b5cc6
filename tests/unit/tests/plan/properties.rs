//! Properties of networks that hold after any sequence of claims and releases.

use proptest::prelude::*;

use super::*;
use crate::given::creation;

/// A change of the registry: an instance is claimed or released.
#[derive(Debug, Clone)]
enum Step {
    Claim(Wish),
    Release(prop::sample::Index),
}

/// A request; the plan chooses what is `None`. Only few names and prefixes, so that they collide.
#[derive(Debug, Clone)]
struct Wish {
    name: u8,
    prefix: Option<u8>,
    subnet: Option<Ipv4Net>,
    topology: Topology,
    workers: u8,
}

impl Wish {
    fn checked(&self) -> CheckedSpec {
        let spec =
            ClusterSpec::new(format!("client-{}", self.name)).topology(self.topology).workers(self.workers);
        let prefix = self.prefix.map(|prefix| format!("client-{prefix}"));
        let subnet = self.subnet.map(|subnet| subnet.to_string());
        ClusterSpec { tld_prefix: prefix, subnet, ..spec }.check().unwrap()
    }
}

fn wishes() -> impl Strategy<Value = Wish> {
    let wild = prop_oneof![
        (48..64_u8).prop_map(|third| [192, 168, third]),
        (96..=255_u8, any::<u8>()).prop_map(|(second, third)| [10, second, third]),
    ];
    let subnet =
        (wild, 24..=27_u8).prop_map(|([a, b, c], size)| Ipv4Net::new_assert([a, b, c, 0].into(), size));
    let workers = prop_oneof![8 => 0..=6_u8, 1 => 0..=179_u8];
    let topology = prop_oneof![Just(Topology::Multi), Just(Topology::Ha)];
    (0..40_u8, prop::option::weighted(0.1, 0..40_u8), prop::option::weighted(0.3, subnet), topology, workers)
        .prop_map(|(name, prefix, subnet, topology, workers)| Wish {
            name,
            prefix,
            subnet,
            topology,
            workers,
        })
}

/// The number of control planes, and the host number of the last one in the subnet.
fn planes(topology: Topology) -> (u8, u8) {
    if topology == Topology::Ha { (3, 13) } else { (1, 10) }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => wishes().prop_map(Step::Claim),
        1 => any::<prop::sample::Index>().prop_map(Step::Release),
    ];
    prop::collection::vec(step, 1..50)
}

fn host() -> impl Strategy<Value = Vec<HostNetwork>> {
    let net =
        (prop_oneof![Just([192, 168]), Just([10, 244]), Just([10, 96])], any::<u8>(), 8..=32_u8, 0..3_u8);
    let net = net.prop_map(|([a, b], c, size, link)| HostNetwork {
        net: Ipv4Net::new_assert([a, b, c, 1].into(), size.max(20)).trunc(),
        interface: format!("eth{link}"),
    });
    prop::collection::vec(net, 0..4)
}

/// Pools with all block sizes that the settings allow, in the default ranges, with any first block.
fn pools() -> impl Strategy<Value = Pools> {
    let pool = |range: &'static str, blocks: std::ops::RangeInclusive<u8>| {
        (blocks, any::<u32>()).prop_map(move |(block, first)| {
            let range = net(range);
            let first = u32::from(range.network()) | (first & u32::from(range.hostmask()));
            Pool { range, block, first: Ipv4Net::new_assert(first.into(), block).trunc() }
        })
    };
    (pool("192.168.48.0/20", 24..=27), pool("10.240.0.0/12", 16..=24), pool("10.96.0.0/12", 14..=24))
        .prop_map(|(subnet, pod, service)| Pools { subnet, pod, service, ..Pools::default() })
}

/// Applies claims and releases in turn, and checks that each refusal is right.
fn play(steps: &[Step], host: &[HostNetwork], pools: &Pools) -> Result<Vec<Instance>, TestCaseError> {
    let mut taken = Taken { instances: Vec::new(), host: host.to_vec(), ..Taken::default() };
    for step in steps {
        let before = taken.instances.clone();
        match step {
            Step::Claim(wish) => match claimed(&wish.checked(), &taken, pools) {
                Ok(instance) => {
                    taken.instances.push(instance);
                    prop_assert_eq!(&taken.instances[..before.len()], &before[..]);
                }
                Err(refusal) => is_right(&refusal, &taken, pools, wish)?,
            },
            Step::Release(index) if !before.is_empty() => {
                taken.instances.remove(index.index(before.len()));
            }
            Step::Release(_) => {}
        }
    }
    Ok(taken.instances)
}

/// Checks a refusal: its holder has the requested name or network, a full pool is full, a block is too small for the
/// nodes.
fn is_right(refusal: &PlanError, taken: &Taken, pools: &Pools, wish: &Wish) -> Result<(), TestCaseError> {
    match refusal {
        PlanError::Exists { name, state, owner } => {
            let holder = taken.instances.iter().find(|instance| instance.name == *name);
            let found = holder.map(|holder| (holder.state, Some(creation().owner.pid)));
            prop_assert_eq!(found, Some((*state, *owner)));
        }
        PlanError::InUse { what, value, holder: plan::Holder::Instance(name) } => {
            let holder = taken.instances.iter().find(|instance| instance.name == *name);
            let holder = holder.ok_or_else(|| TestCaseError::fail(format!("no instance is {name}")))?;
            let has = match *what {
                "tldPrefix" => holder.tld_prefix == *value,
                "subnet" => holder.networks().iter().any(|theirs| overlap(theirs, &net(value))),
                other => return Err(TestCaseError::fail(format!("{other} cannot be asked for"))),
            };
            prop_assert!(has, "{refusal}: {holder:?}");
        }
        PlanError::InUse { value, holder: plan::Holder::Host(interface), .. } => {
            let has = |host: &HostNetwork| host.interface == *interface && overlap(&host.net, &net(value));
            prop_assert!(taken.host.iter().any(has), "{refusal}");
        }
        PlanError::InUse { holder: plan::Holder::Neighbour { .. }, .. } => {
            return Err(TestCaseError::fail(format!("the host has no other homes: {refusal}")));
        }
        PlanError::NoWorkers { .. }
        | PlanError::NotRunning { .. }
        | PlanError::Busy { .. }
        | PlanError::NoSuchNode { .. }
        | PlanError::NotAWorker { .. } => {
            return Err(TestCaseError::fail(format!("a claim changes no workers: {refusal}")));
        }
        PlanError::NotAllowed { .. } | PlanError::NoneAllowed { .. } => {
            return Err(TestCaseError::fail(format!("no range is forbidden here: {refusal}")));
        }
        PlanError::Exhausted { what, .. } => {
            let pool = match *what {
                "subnet" => &pools.subnet,
                "pod CIDR" => &pools.pod,
                _ => &pools.service,
            };
            let own = wish.subnet.into_iter().filter(|_| *what != "subnet");
            let used: Vec<Ipv4Net> = taken
                .instances
                .iter()
                .flat_map(Instance::networks)
                .chain(taken.host.iter().map(|host| host.net))
                .chain(own)
                .collect();
            let mut blocks = pool.range.subnets(pool.block).unwrap();
            prop_assert!(blocks.all(|block| used.iter().any(|net| overlap(net, &block))), "{refusal}");
        }
        PlanError::DoesNotFit { what, size, .. } => {
            let (planes, last) = planes(wish.topology);
            let nodes = u32::from(wish.workers) + u32::from(planes);
            let last = if wish.workers == 0 { u32::from(last) } else { 20 + u32::from(wish.workers) };
            let room =
                if *what == "subnet" { (1 << (32 - size)) - 2 >= last } else { 1 << (24 - size) >= nodes };
            prop_assert!(!room, "{refusal}: {wish:?}");
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn no_two_networks_of_any_kind_ever_overlap_and_refusals_are_right(
        steps in steps(), host in host(), pools in pools(),
    ) {
        let instances = play(&steps, &host, &pools)?;
        prop_assert_eq!(&instances, &play(&steps, &host, &pools)?, "the same claims gave other results");
        let ours: Vec<(&str, Ipv4Net)> = instances.iter()
            .flat_map(|instance| cidrs(instance).map(|cidr| (instance.name.as_str(), cidr)))
            .collect();
        for (place, (a, of_a)) in ours.iter().enumerate() {
            for (b, of_b) in &ours[place + 1..] {
                prop_assert!(!overlap(of_a, of_b), "instance {a} ({of_a}) overlaps {b} ({of_b})");
            }
            for theirs in &host {
                prop_assert!(!overlap(of_a, &theirs.net), "instance {a} ({of_a}) overlaps the host's {}", theirs.net);
            }
        }
        for instance in &instances {
            let plan = ClusterPlan::of(instance, &Home::at("/h"));
            let (planes, _) = planes(instance.topology);
            prop_assert_eq!(plan.nodes.len(), usize::from(instance.workers.count()) + usize::from(planes), "nodes are missing");
            prop_assert!(instance.subnet.hosts().any(|host| host == plan.api_address) && plan.api_address != plan.gateway);
            prop_assert_eq!(plan.virtual_address().is_some(), planes > 1);
            for (place, node) in plan.nodes.iter().enumerate() {
                prop_assert!(instance.subnet.contains(&node.address) && instance.k8s.pod_cidr.contains(&node.pod_cidr));
                prop_assert!(plan.nodes[..place].iter().all(|other| other.pod_cidr != node.pod_cidr));
            }
        }
    }

    #[test]
    fn a_release_and_the_same_claim_again_change_no_other_instance(
        steps in steps(), host in host(), pools in pools(), which in any::<prop::sample::Index>(),
    ) {
        let instances = play(&steps, &host, &pools)?;
        prop_assume!(!instances.is_empty());
        let mut taken = Taken { instances: instances.clone(), host, ..Taken::default() };
        let released = taken.instances.remove(which.index(instances.len()));
        let others = taken.instances.clone();
        let spec = ClusterSpec::new(&released.name).tld_prefix(&released.tld_prefix);
        let spec = spec.topology(released.topology).workers(released.workers.count());
        let spec = spec.subnet(released.subnet.to_string()).check().unwrap();
        let again = claimed(&spec, &taken, &pools);
        let again = again.map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!(again.subnet, released.subnet);
        prop_assert_eq!(&taken.instances, &others);
        for theirs in others.iter().flat_map(Instance::networks) {
            prop_assert!(again.networks().iter().all(|ours| !overlap(ours, &theirs)));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_pool_is_handed_out_to_its_last_block(block in 24..=26_u8, first in 0..16_u32) {
        let range = net("192.168.48.0/20");
        let size = 2_u32.pow(u32::from(32 - block));
        let first = Ipv4Net::new_assert((u32::from(range.network()) + first * size).into(), block);
        let pools = Pools { subnet: Pool { range, block, first }, ..crate::given::wide_pools() };
        let mut taken = Taken::default();
        for i in 0..2_usize.pow(u32::from(block - 20)) {
            taken.instances.push(
                claimed(&checked(&format!("client-{i}")), &taken, &pools)
                    .map_err(|error| TestCaseError::fail(error.to_string()))?,
            );
        }
        prop_assert_eq!(taken.instances[0].subnet, first);
        let full = claimed(&checked("one-more"), &taken, &pools);
        prop_assert!(matches!(full, Err(PlanError::Exhausted { what: "subnet", .. })), "{full:?}");
    }
}
