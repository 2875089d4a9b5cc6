//! Two homes on one host share neither networks nor names.

use std::sync::Arc;

use ipnet::Ipv4Net;
use provisioner::engine::SimulatedEngine;
use provisioner::error::Hint;
use provisioner::home::{Home, Listed};
use provisioner::registry::{Instance, Keeper};
use provisioner::request::{ClusterSpec, EngineKind};
use provisioner::{ProvisionError, Provisioner};

use crate::given::{House, net};

/// A host with several homes and a list of them.
struct Host {
    house: House,
    engine: SimulatedEngine,
}

impl Host {
    fn new() -> Self {
        Self { house: House::new(), engine: SimulatedEngine::new("000000") }
    }

    fn list(&self) -> Listed {
        Listed::in_folder(self.house.path("homes"))
    }

    fn home(&self, name: &str) -> Provisioner {
        let home = Home::in_folder(&self.house.path(name), &self.list()).unwrap();
        let engine = self.engine.for_home(home.id());
        Provisioner::with_engine(home, Arc::new(engine)).with_homes(self.list())
    }

    /// The names of the files in the list.
    fn listed(&self) -> Vec<String> {
        let entries = self.house.path("homes").read_dir_utf8().into_iter().flatten();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().to_owned()).collect();
        names.sort();
        names
    }
}

fn spec(name: &str) -> ClusterSpec {
    ClusterSpec::new(name).workers(0).engine(EngineKind::Simulated)
}

async fn up(home: &Provisioner, spec: ClusterSpec) -> Result<Instance, ProvisionError> {
    home.create(&spec.check().unwrap(), Keeper::Operator).await.map(|cluster| cluster.instance)
}

fn cause(error: &ProvisionError) -> String {
    error.source.to_string()
}

#[tokio::test]
async fn two_homes_never_draw_overlapping_networks_of_any_kind() {
    let host = Host::new();
    let (ada, bob) = (host.home("ada"), host.home("bob"));
    let mut all: Vec<Ipv4Net> = Vec::new();
    for (home, name) in [(&ada, "a"), (&bob, "b"), (&ada, "c"), (&bob, "d")] {
        let networks = up(home, spec(name)).await.unwrap().networks();
        let shared = |one: &Ipv4Net| all.iter().any(|other| one.contains(other) || other.contains(one));
        assert!(!networks.iter().any(shared), "{networks:?} of {name} and {all:?}");
        all.extend(networks);
    }
    assert_eq!(all.len(), 12);
}

#[tokio::test]
async fn a_subnet_in_another_homes_pod_network_is_refused_with_its_owner() {
    let host = Host::new();
    let (ada, bob) = (host.home("ada"), host.home("bob"));
    let acme = up(&ada, spec("acme")).await.unwrap();
    let inside = Ipv4Net::new(acme.k8s.pod_cidr.network(), 24).unwrap();
    let asked = ClusterSpec { subnet: Some(inside.to_string()), ..spec("globex") };
    let error = up(&bob, asked).await.unwrap_err();
    let home = ada.home().root();
    assert_eq!(
        cause(&error),
        format!("subnet {inside} already in use by instance 'acme' of the home {home}")
    );
    assert_eq!(bob.registry().list().unwrap(), []);
    assert_eq!(host.listed(), [ada.home().id()], "a home without instances is listed");
}

#[tokio::test]
async fn a_halted_instance_keeps_its_networks_and_one_that_is_gone_does_not() {
    let host = Host::new();
    let (ada, bob) = (host.home("ada"), host.home("bob"));
    let acme = up(&ada, spec("acme")).await.unwrap();
    ada.halt("acme").await.unwrap();
    let globex = up(&bob, spec("globex")).await.unwrap();
    assert_ne!(globex.subnet, acme.subnet);
    ada.destroy("acme").await.unwrap();
    assert_eq!(host.listed(), [bob.home().id()]);
    assert_eq!(up(&bob, spec("acme")).await.unwrap().networks(), acme.networks());
    bob.destroy("acme").await.unwrap();
    bob.destroy("globex").await.unwrap();
    assert!(!host.house.path("homes").exists(), "the list is left after the last instance");
}

#[tokio::test]
async fn a_home_whose_folder_is_gone_is_removed_from_the_list() {
    let host = Host::new();
    let (ada, bob) = (host.home("ada"), host.home("bob"));
    let acme = up(&ada, spec("acme")).await.unwrap();
    std::fs::remove_dir_all(ada.home().root()).unwrap();
    assert_eq!(up(&bob, spec("globex")).await.unwrap().networks(), acme.networks());
    assert_eq!(host.listed(), [bob.home().id()]);
}

#[tokio::test]
async fn a_home_that_is_moved_keeps_its_networks() {
    let host = Host::new();
    let (ada, bob) = (host.home("ada"), host.home("bob"));
    let acme = up(&ada, spec("acme")).await.unwrap();
    std::fs::rename(ada.home().root(), host.house.path("moved")).unwrap();
    // The list has the old path until the home is used at its new path.
    host.home("moved").halt("acme").await.unwrap();
    host.home("moved").start("acme").await.unwrap();
    assert_ne!(up(&bob, spec("globex")).await.unwrap().subnet, acme.subnet);
}

#[tokio::test]
async fn an_instance_whose_networks_another_home_got_meanwhile_is_not_started() {
    let host = Host::new();
    let (ada, bob) = (host.home("ada"), host.home("bob"));
    let acme = up(&ada, spec("acme")).await.unwrap();
    ada.halt("acme").await.unwrap();
    // As if the home's disk were not mounted.
    std::fs::rename(ada.home().root(), host.house.path("unmounted")).unwrap();
    let globex = up(&bob, spec("globex")).await.unwrap();
    assert_eq!(globex.subnet, acme.subnet);
    std::fs::rename(host.house.path("unmounted"), ada.home().root()).unwrap();
    let error = ada.start("acme").await.unwrap_err();
    let home = bob.home().root();
    let told = format!("network {} already in use by instance 'globex' of the home {home}", acme.subnet);
    assert_eq!(error.to_string(), told);
    assert_eq!(
        error.hint().unwrap(),
        format!("`HOMELAB_HOME={home} homelab status globex` shows the other instance")
    );
}

#[tokio::test]
async fn an_invalid_ledger_of_another_home_stops_the_claim_and_is_named() {
    let host = Host::new();
    let (ada, bob) = (host.home("ada"), host.home("bob"));
    up(&ada, spec("acme")).await.unwrap();
    std::fs::write(ada.home().registry(), "{").unwrap();
    let error = up(&bob, spec("globex")).await.unwrap_err();
    assert_eq!(cause(&error), format!("read the networks of the home {}", ada.home().root()));
    let hint = error.hint().unwrap();
    assert!(hint.contains(ada.home().registry().as_str()), "{hint}");
    assert!(hint.contains(&format!("`rm {}`", host.house.path("homes").join(ada.home().id()))), "{hint}");
    assert_eq!(bob.registry().list().unwrap(), []);
}

#[tokio::test]
async fn a_suffix_belongs_to_one_instance_of_the_host() {
    let host = Host::new();
    let (ada, bob) = (host.home("ada"), host.home("bob"));
    up(&ada, spec("acme")).await.unwrap();
    let error = up(&bob, spec("acme")).await.unwrap_err();
    let home = ada.home().root();
    assert_eq!(cause(&error), format!("tldPrefix acme already in use by instance 'acme' of the home {home}"));
    assert_eq!(error.hint().as_deref(), Some("choose another one with `--tld LABEL`"));
    let other = ClusterSpec { tld_prefix: Some("acme2".to_owned()), ..spec("acme") };
    up(&bob, other).await.unwrap();
    // A fixture's instance has no names on the host.
    up(&host.home("carol"), spec("acme").throw_away()).await.unwrap();
}

#[test]
fn homes_that_claim_at_the_same_time_share_nothing() {
    let host = Host::new();
    let claimed: Vec<Vec<Ipv4Net>> = std::thread::scope(|scope| {
        let begun = (0..8).map(|number| {
            let home = host.home(&format!("home-{number}"));
            scope.spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(up(&home, spec(&format!("c{number}")))).unwrap().networks()
            })
        });
        begun.collect::<Vec<_>>().into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for (place, one) in claimed.iter().enumerate() {
        for other in &claimed[place + 1..] {
            let meet =
                |net: &Ipv4Net| other.iter().any(|theirs| theirs.contains(net) || net.contains(theirs));
            assert!(!one.iter().any(meet), "{one:?} and {other:?}");
        }
    }
}

#[tokio::test]
async fn a_simulated_engine_ignores_the_other_homes_of_the_host() {
    let house = House::new();
    let alone = Provisioner::with_engine(house.home.clone(), Arc::new(SimulatedEngine::new(house.home.id())));
    let instance = up(&alone, spec("acme")).await.unwrap();
    assert_eq!(instance.subnet, net("192.168.60.0/24"), "the host's homes must not matter");
}
