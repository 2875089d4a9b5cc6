//! What holds for networks whatever is claimed and released.

use proptest::prelude::*;

use super::*;

/// What happens to a registry: a claim, perhaps of a subnet of one's own, or a release.
#[derive(Debug, Clone)]
enum Step {
    Claim(Option<Ipv4Net>),
    Release(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let wild = prop_oneof![
        (48..64_u8).prop_map(|third| [192, 168, third]),
        (0..=255_u8, 0..=255_u8).prop_map(|(second, third)| [10, second, third]),
    ];
    let wild = wild.prop_map(|[a, b, c]| Ipv4Net::new_assert([a, b, c, 0].into(), 24));
    let step = prop_oneof![
        4 => Just(Step::Claim(None)),
        2 => wild.prop_map(|subnet| Step::Claim(Some(subnet))),
        1 => any::<prop::sample::Index>().prop_map(|index| Step::Release(index.index(64))),
    ];
    prop::collection::vec(step, 1..40)
}

fn host() -> impl Strategy<Value = Vec<HostNetwork>> {
    let net = (prop_oneof![Just([192, 168]), Just([10, 244]), Just([10, 96])], any::<u8>(), 8..=32_u8);
    let net = net.prop_map(|([a, b], c, size)| HostNetwork {
        net: Ipv4Net::new_assert([a, b, c, 1].into(), size.max(20)).trunc(),
        interface: "eth0".to_owned(),
    });
    prop::collection::vec(net, 0..4)
}

proptest! {
    #[test]
    fn no_two_networks_of_any_kind_ever_overlap(steps in steps(), host in host()) {
        let mut taken = Taken { instances: Vec::new(), host };
        for (i, step) in steps.iter().enumerate() {
            match step {
                Step::Claim(subnet) => {
                    let mut spec = checked(&format!("client-{i}"));
                    spec.subnet = *subnet;
                    let claimed = claim(&spec, &taken);
                    prop_assert_eq!(&claimed, &claim(&spec, &taken), "the same question, another answer");
                    taken.instances.extend(claimed);
                }
                Step::Release(place) if *place < taken.instances.len() => {
                    taken.instances.remove(*place);
                }
                Step::Release(_) => {}
            }
        }
        let ours: Vec<(String, Ipv4Net)> = taken.instances.iter()
            .flat_map(|instance| cidrs(instance).map(|cidr| (instance.name.clone(), cidr)))
            .collect();
        for (place, (a, of_a)) in ours.iter().enumerate() {
            for (b, of_b) in &ours[place + 1..] {
                prop_assert!(!overlap(of_a, of_b), "instance {a} ({of_a}) overlaps {b} ({of_b})");
            }
            for theirs in &taken.host {
                prop_assert!(!overlap(of_a, &theirs.net), "instance {a} ({of_a}) overlaps the host's {}", theirs.net);
            }
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
                plan::claim(&checked(&format!("client-{i}")), &taken, &pools, None, now())
                    .map_err(|error| TestCaseError::fail(error.to_string()))?,
            );
        }
        prop_assert_eq!(taken.instances[0].subnet, first);
        let full = plan::claim(&checked("one-more"), &taken, &pools, None, now());
        prop_assert!(matches!(full, Err(PlanError::Exhausted { what: "subnet", .. })), "{full:?}");
    }
}
