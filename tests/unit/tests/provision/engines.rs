//! A fault of one engine does not affect the instances of another engine.

use provisioner::engine::Survey;
use provisioner::request::Provider;

use super::*;

const OTHER: EngineKind = EngineKind::Vagrant(Provider::Libvirt);

/// A lab whose second engine fails all requests.
fn half_blind() -> Lab {
    let lab = lab();
    let broken = SimulatedEngine::new(lab.house.home.id()).with_fault(Fault::Blind);
    let provisioner = lab.provisioner.with_engine_of(OTHER, Arc::new(broken));
    Lab { provisioner, ..lab }
}

#[tokio::test]
async fn an_instance_can_be_destroyed_and_released_although_another_engine_cannot_be_asked() {
    let lab = half_blind();
    lab.up("acme").await.unwrap();
    assert_ne!(lab.provisioner.destroy("acme").await.unwrap(), []);
    lab.assert_empty().await;
    let cluster = lab.up("acme").await.unwrap();
    lab.engine.destroy(&cluster.plan.id, &cluster.plan.folder).await.unwrap();
    assert_ne!(lab.provisioner.release("acme").await.unwrap(), []);
    lab.assert_empty().await;
}

#[tokio::test]
async fn abandoned_instances_are_reaped_and_engines_that_cannot_be_asked_are_named() {
    let lab = half_blind();
    let owner = Owner::current("run-1").unwrap();
    let dead = Owner { start_time: owner.start_time + 1, ..owner };
    let spec = ClusterSpec::new("acme").workers(0).engine(EngineKind::Simulated).check().unwrap();
    lab.provisioner.create(&spec, Keeper::Run(dead)).await.unwrap();
    let reaping = lab.provisioner.reap().await.unwrap();
    let reaped: Vec<_> =
        reaping.reaped.iter().map(|one| (one.instance.as_str(), one.outcome.is_ok())).collect();
    assert_eq!(reaped, [("acme", true)]);
    assert_eq!(reaping.blind.iter().map(|(kind, _)| *kind).collect::<Vec<_>>(), [OTHER]);
    lab.assert_empty().await;
}

#[tokio::test]
async fn objects_of_one_engine_are_found_and_an_engine_that_cannot_be_asked_is_reported() {
    let lab = half_blind();
    lab.up("acme").await.unwrap();
    let engines = lab.provisioner.engines();
    let Survey { sightings, blind } = engines.look().await;
    assert_eq!((sightings.len(), blind.len()), (3, 1));
    assert_eq!(engines.sightings_of(Some(EngineKind::Simulated)).await.unwrap().len(), 3);
    engines.sightings_of(Some(OTHER)).await.unwrap_err();
    engines.sightings().await.unwrap_err();
}

#[tokio::test]
async fn destroying_leftovers_without_an_entry_fails_as_long_as_one_engine_cannot_be_asked() {
    let lab = half_blind();
    lab.engine.create(&crate::given::planned("stray", &lab.house.home)).await.unwrap();
    lab.provisioner.destroy("stray").await.unwrap_err();
    assert_eq!(lab.engine.sightings().await.unwrap(), [], "nodes of the working engine are left");
}
