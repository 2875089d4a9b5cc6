//! The whole chain identifies a cluster, and each link that differs stops the operation.

mod answers;

use provisioner::Provisioner;
use provisioner::StageError;
use provisioner::engine::{Engine, SimulatedEngine};
use provisioner::error::Hint;
use provisioner::events::Event;
use provisioner::identity::{self, IdentityError};
use provisioner::plan::{Pools, Taken};
use provisioner::registry::{Instance, Keeper, State};
use provisioner::request::{ClusterSpec, EngineKind};

use crate::given::{House, claimed, simulated};

struct Lab {
    house: House,
    engine: SimulatedEngine,
    provisioner: Provisioner,
}

/// A lab with the running instances acme and globex.
async fn lab() -> Lab {
    let (house, engine, provisioner) = simulated();
    for name in ["acme", "globex"] {
        let spec = ClusterSpec::new(name).workers(0).engine(EngineKind::Simulated).check().unwrap();
        provisioner.create(&spec, Keeper::Operator).await.unwrap();
    }
    Lab { house, engine, provisioner }
}

impl Lab {
    fn instance(&self, name: &str) -> Instance {
        self.provisioner.registry().find(name).unwrap().unwrap()
    }

    /// Replaces an instance's isolated kubeconfig with this text.
    fn swap(&self, name: &str, text: &str) {
        std::fs::write(self.house.home.isolated_kubeconfig(name), text).unwrap();
    }

    fn isolated(&self, name: &str) -> String {
        std::fs::read_to_string(self.house.home.isolated_kubeconfig(name)).unwrap()
    }

    /// The mismatch error of operations on acme, without the values that differ from run to run.
    async fn mismatch(&self) -> String {
        let error = self.provisioner.identify("acme").await.unwrap_err();
        let destroyed = self.provisioner.destroy("acme").await.unwrap_err();
        assert!(matches!(destroyed.failures[..], [StageError::Identity(IdentityError::Mismatch { .. })]));
        assert_eq!(self.instance("acme").state, State::Running, "the removal has begun");
        assert_eq!(self.engine.sightings().await.unwrap().len(), 2);
        assert!(destroyed.hint().unwrap().contains("--renew"), "{:?}", destroyed.hint());
        let authority = |name: &str| self.instance(name).k8s.identity.unwrap().authority;
        let text = error.to_string().replace(self.house.home.root().as_str(), "~/.homelab");
        text.replace(&authority("acme"), "[acme's]").replace(&authority("globex"), "[globex's]")
    }
}

#[tokio::test]
async fn recorded_identities_differ_between_clusters_and_match_their_own_cluster() {
    let lab = lab().await;
    let of = |name: &str| lab.instance(name).k8s.identity.unwrap();
    assert_eq!(of("acme").server, "https://192.168.60.10:6443");
    assert_ne!(of("acme").server, of("globex").server);
    assert_ne!(of("acme").authority, of("globex").authority);
    assert_eq!(of("acme").authority.len(), 32 * 3 - 1);
    assert_eq!(of("acme").uid, "simulated-uid");
    for name in ["acme", "globex"] {
        lab.provisioner.identify(name).await.unwrap();
        identity::check_merged(&lab.house.home, &lab.instance(name)).unwrap();
    }
}

#[tokio::test]
async fn swapped_kubeconfigs_are_refused_at_the_first_difference_with_both_values() {
    let lab = lab().await;
    let (acme, globex) = (lab.isolated("acme"), lab.isolated("globex"));
    let renamed = globex.replace("globex", "acme");
    let only_authority = renamed.replace("192.168.61", "192.168.60");
    let no_authority: String = acme
        .lines()
        .filter(|line| !line.contains("certificate-authority"))
        .fold(String::new(), |text, line| text + line + "\n");
    let mut said = Vec::new();
    for text in [&globex, &renamed, &only_authority, &no_authority] {
        lab.swap("acme", text);
        said.push(lab.mismatch().await);
    }
    insta::assert_snapshot!(said.join("\n"));
    lab.swap("acme", &acme);
    lab.provisioner.identify("acme").await.unwrap();
    assert_ne!(lab.provisioner.destroy("acme").await.unwrap(), []);
}

#[tokio::test]
async fn an_altered_context_of_the_merged_kubeconfig_is_found() {
    let lab = lab().await;
    let merged = lab.house.merged();
    lab.house.kubeconfig(&merged.replace("https://192.168.60.10", "https://192.168.61.10"));
    let error = identity::check_merged(&lab.house.home, &lab.instance("acme")).unwrap_err();
    let text = error.to_string().replace(lab.house.home.root().as_str(), "~/.homelab");
    insta::assert_snapshot!(text);
    identity::check_merged(&lab.house.home, &lab.instance("globex")).unwrap();
}

#[tokio::test]
async fn a_kubeconfig_that_is_lost_or_swapped_is_written_again_from_the_nodes() {
    let lab = lab().await;
    let (acme, merged) = (lab.isolated("acme"), lab.house.merged());
    lab.swap("acme", &lab.isolated("globex"));
    lab.house.kubeconfig(&merged.replace("https://192.168.60.10", "https://192.168.61.10"));
    lab.provisioner.renew_kubeconfig("acme").await.unwrap();
    assert_eq!(lab.isolated("acme"), acme);
    assert_eq!(lab.house.merged(), merged);
    std::fs::remove_file(lab.house.home.isolated_kubeconfig("acme")).unwrap();
    lab.provisioner.renew_kubeconfig("acme").await.unwrap();
    assert_eq!(lab.isolated("acme"), acme);
}

/// The reasons in the `IdentityUnchecked` events.
fn unchecked(events: &mut tokio::sync::broadcast::Receiver<Event>) -> Vec<String> {
    let told = std::iter::from_fn(|| events.try_recv().ok());
    told.filter_map(|event| match event {
        Event::IdentityUnchecked { why, .. } => Some(why),
        _ => None,
    })
    .collect()
}

#[tokio::test]
async fn destroying_a_checked_cluster_or_one_that_never_came_up_reports_no_unchecked_identity() {
    let lab = lab().await;
    let mut events = lab.provisioner.events().subscribe();
    let spec = ClusterSpec::new("hooli").workers(0).engine(EngineKind::Simulated).check().unwrap();
    let taken = Taken { instances: lab.provisioner.registry().instances().unwrap(), ..Taken::default() };
    let claim = |_: &[Instance]| claimed(&spec, &taken, &Pools::default());
    lab.provisioner.registry().claim(claim).unwrap();
    for name in ["acme", "globex", "hooli"] {
        lab.provisioner.destroy(name).await.unwrap();
    }
    assert_eq!(unchecked(&mut events), [""; 0]);
}

#[tokio::test]
async fn an_instance_whose_identity_cannot_be_checked_is_paused_and_that_is_reported() {
    let lab = lab().await;
    let mut events = lab.provisioner.events().subscribe();
    std::fs::remove_file(lab.house.home.isolated_kubeconfig("acme")).unwrap();
    lab.provisioner.pause("acme").await.unwrap();
    assert_eq!(unchecked(&mut events).len(), 1);
}

#[tokio::test]
async fn a_cluster_without_a_kubeconfig_can_be_destroyed() {
    let lab = lab().await;
    std::fs::remove_file(lab.house.home.isolated_kubeconfig("acme")).unwrap();
    assert!(matches!(lab.provisioner.identify("acme").await, Err(IdentityError::NoFile { .. })));
    let mut events = lab.provisioner.events().subscribe();
    assert_ne!(lab.provisioner.destroy("acme").await.unwrap(), []);
    let unchecked = unchecked(&mut events);
    assert!(unchecked.iter().any(|why| why.contains("does not exist")), "no event: {unchecked:?}");
    lab.provisioner.identify("globex").await.unwrap();
}
