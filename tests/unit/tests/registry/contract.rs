//! The promises of every registry, for each place of its ledger.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use provisioner::error::Hint;
use rstest::rstest;

use super::*;

/// The place of a registry's ledger.
#[derive(Debug, Clone, Copy)]
enum Kept {
    InHome,
    InMemory,
}

impl Kept {
    fn empty(self) -> (House, Registry) {
        let house = House::new();
        let registry = match self {
            Self::InHome => Registry::in_home(&house.home),
            Self::InMemory => Registry::in_memory(),
        };
        (house, registry)
    }

    /// A registry with acme and globex in it.
    fn two(self) -> (House, Registry) {
        let (house, registry) = self.empty();
        for name in ["acme", "globex"] {
            claim(&registry, name).unwrap();
        }
        (house, registry)
    }
}

fn names(registry: &Registry) -> Vec<String> {
    registry.instances().unwrap().into_iter().map(|instance| instance.name).collect()
}

#[rstest]
fn reading_a_missing_registry_finds_nothing_and_creates_nothing(
    #[values(Kept::InHome, Kept::InMemory)] kept: Kept,
) {
    let (house, registry) = kept.empty();
    assert_eq!(registry.list().unwrap(), []);
    assert_eq!(registry.find("acme").unwrap(), None);
    assert_eq!(registry.release("acme").unwrap(), None);
    assert!(!house.home.root().exists());
}

#[rstest]
fn a_claimed_entry_is_found_by_clones_until_it_is_released(
    #[values(Kept::InHome, Kept::InMemory)] kept: Kept,
) {
    let (_house, registry) = kept.two();
    let other = registry.clone();
    let acme = other.find("acme").unwrap().unwrap();
    assert_eq!(acme, instance("acme", &[]).with_pools_of(&acme));
    assert_eq!(names(&other), ["acme", "globex"]);
    assert_eq!(other.release("acme").unwrap(), Some(acme));
    assert_eq!(registry.find("acme").unwrap(), None);
    assert_eq!(registry.release("acme").unwrap(), None);
    assert_eq!(names(&registry), ["globex"]);
}

#[rstest]
fn entries_stay_in_the_order_in_which_they_were_claimed(#[values(Kept::InHome, Kept::InMemory)] kept: Kept) {
    let (_house, registry) = kept.two();
    claim(&registry, "aaa").unwrap();
    registry.update("acme", |acme| acme.state = State::Running).unwrap();
    assert_eq!(names(&registry), ["acme", "globex", "aaa"]);
    registry.release("acme").unwrap();
    claim(&registry, "acme").unwrap();
    assert_eq!(names(&registry), ["globex", "aaa", "acme"]);
}

#[rstest]
fn an_update_is_returned_and_kept_and_leaves_the_others_alone(
    #[values(Kept::InHome, Kept::InMemory)] kept: Kept,
) {
    let (_house, registry) = kept.two();
    let globex = registry.find("globex").unwrap();
    let updated = registry.update("acme", |acme| acme.tld_prefix = "anvils".to_owned()).unwrap();
    assert_eq!(updated.tld_prefix, "anvils");
    assert_eq!(registry.find("acme").unwrap(), Some(updated));
    assert_eq!(registry.find("globex").unwrap(), globex);
}

#[rstest]
fn a_refused_claim_records_nothing(#[values(Kept::InHome, Kept::InMemory)] kept: Kept) {
    let (_house, registry) = kept.two();
    let before = registry.list().unwrap();
    let error = claim(&registry, "acme").unwrap_err();
    assert_eq!(error.to_string(), "name acme already in use by instance 'acme'");
    assert!(error.hint().unwrap().starts_with("process 7 is creating it: "));
    assert_eq!(registry.list().unwrap(), before);
}

#[rstest]
fn a_name_is_not_claimed_twice_even_if_the_decision_allows_it(
    #[values(Kept::InHome, Kept::InMemory)] kept: Kept,
) {
    let (_house, registry) = kept.two();
    let error = registry.claim(|there| Ok::<_, PlanError>(there[0].clone())).unwrap_err();
    assert!(matches!(error, ChangeError::Registry(RegistryError::Taken { .. })), "{error}");
    assert_eq!(names(&registry), ["acme", "globex"]);
}

#[rstest]
fn an_update_of_an_unknown_instance_is_an_error(#[values(Kept::InHome, Kept::InMemory)] kept: Kept) {
    let (_house, registry) = kept.two();
    assert_eq!(registry.update("initech", |_| ()).unwrap_err().to_string(), "no instance 'initech'");
}

#[rstest]
fn readers_do_not_wait_for_a_decision_and_see_the_ledger_before_it(
    #[values(Kept::InHome, Kept::InMemory)] kept: Kept,
) {
    let (_house, registry) = kept.two();
    registry
        .claim(|there| {
            assert_eq!(names(&registry), ["acme", "globex"]);
            Ok::<_, PlanError>(instance("initech", there))
        })
        .unwrap();
    assert_eq!(names(&registry), ["acme", "globex", "initech"]);
}

#[rstest]
fn a_decision_that_panics_changes_nothing_and_releases_the_lock(
    #[values(Kept::InHome, Kept::InMemory)] kept: Kept,
) {
    let (_house, registry) = kept.two();
    let panicked =
        catch_unwind(AssertUnwindSafe(|| registry.claim::<PlanError>(|_| panic!("in the middle"))));
    assert!(panicked.is_err());
    let panicked = catch_unwind(AssertUnwindSafe(|| registry.update("acme", |_| panic!("in the middle"))));
    assert!(panicked.is_err());
    claim(&registry, "initech").unwrap();
    assert_eq!(names(&registry), ["acme", "globex", "initech"]);
}

#[rstest]
fn claims_from_many_threads_never_share_anything_and_none_is_lost(
    #[values(Kept::InHome, Kept::InMemory)] kept: Kept,
) {
    const THREADS: usize = 8;
    const CLAIMS: usize = 12;
    let (house, registry) = kept.empty();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            // In a home, each thread has its own registry value, as each process has.
            let registry = match kept {
                Kept::InHome => Registry::in_home(&house.home),
                Kept::InMemory => registry.clone(),
            };
            scope.spawn(move || {
                for i in 0..CLAIMS {
                    let name = format!("t{thread}-{i}");
                    claim(&registry, &name).unwrap();
                    registry.update(&name, |instance| instance.state = State::Running).unwrap();
                    assert!(registry.find(&name).unwrap().is_some());
                    if i % 3 == 0 {
                        registry.release(&name).unwrap().unwrap();
                    }
                }
            });
        }
    });
    let instances = registry.instances().unwrap();
    assert_eq!(instances.len(), THREADS * CLAIMS * 2 / 3);
    let cidrs: BTreeSet<_> = instances.iter().flat_map(Instance::networks).collect();
    assert_eq!(cidrs.len(), 3 * instances.len(), "blocks of one size overlap only if they are equal");
    assert!(instances.iter().all(|instance| instance.state == State::Running));
}

/// Replaces the networks from the default pools by those of another instance: the tests' registries have wider pools.
trait WithPools {
    fn with_pools_of(self, other: &Instance) -> Self;
}

impl WithPools for Instance {
    fn with_pools_of(mut self, other: &Instance) -> Self {
        self.k8s.pod_cidr = other.k8s.pod_cidr;
        self.k8s.service_cidr = other.k8s.service_cidr;
        self
    }
}
