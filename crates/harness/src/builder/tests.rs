use std::sync::Arc;

use provisioner::engine::{Engine, Fault, MissingRequirement, SimulatedEngine};
use provisioner::request::{EngineKind, Provider};

use super::*;

#[tokio::test]
async fn a_failed_fixture_gives_the_hint_of_the_cause() {
    let folder = tempfile::tempdir().unwrap();
    let folder = Utf8PathBuf::try_from(folder.path().to_owned()).unwrap();
    let home = Home::at(folder.join("home"));
    let lack = MissingRequirement { what: "podman".to_owned(), remedy: "apt-get install podman".to_owned() };
    let engine = SimulatedEngine::new(home.id()).with_fault(Fault::Preflight(lack));
    let error = FixtureBuilder::default()
        .cluster(ClusterSpec::new("acme").engine(EngineKind::Simulated))
        .made_by(Provisioner::with_engine(home, Arc::new(engine)))
        .evidence_in(folder.join("evidence"))
        .run(async |_| Ok::<_, FixtureError>(()))
        .await
        .unwrap_err();
    assert_eq!(error.hint().unwrap(), "`homelab doctor` lists all missing requirements");
    let kept = std::fs::read_to_string(folder.join("evidence/failure.txt")).unwrap();
    assert!(kept.contains("\nhint: `homelab doctor` lists all missing requirements\n"), "{kept}");
}

#[tokio::test(start_paused = true)]
async fn evidence_that_hangs_is_cut_off_and_teardown_begins_in_time() {
    let folder = tempfile::tempdir().unwrap();
    let folder = Utf8PathBuf::try_from(folder.path().to_owned()).unwrap();
    let home = Home::at(folder.join("home"));
    // Each request to an API server takes 150 s until its deadline.
    let engine = SimulatedEngine::new(home.id()).emulated();
    let engine = engine.with_fault(Fault::Hang("get events".to_owned()));
    let provisioner = Provisioner::with_engine(home, Arc::new(engine.clone()));
    let begun = tokio::time::Instant::now();
    let error = FixtureBuilder::default()
        .cluster(ClusterSpec::new("acme").workers(0).engine(EngineKind::Simulated))
        .made_by(provisioner.clone())
        .evidence_in(folder.join("evidence"))
        .run(async |_| Err::<(), _>(FixtureError::Interrupted("SIGTERM")))
        .await
        .unwrap_err();
    assert!(matches!(error, FixtureError::Interrupted(_)), "{error}");
    assert_eq!(begun.elapsed().as_secs(), 20, "50 s less the 30 s of the teardown");
    assert_eq!(engine.sightings().await.unwrap(), [], "the cluster is gone");
    assert_eq!(provisioner.registry().list().unwrap(), []);
}

#[test]
fn clusters_of_vms_come_up_in_parallel_only_as_far_as_the_processors_suffice() {
    let container = ClusterSpec::new("acme").check().unwrap();
    let machines = ClusterSpec::new("globex").engine(EngineKind::Vagrant(Provider::Libvirt));
    let machines = machines.check().unwrap();
    assert_eq!(side_by_side(std::slice::from_ref(&container), 2), 4);
    assert_eq!(side_by_side(std::slice::from_ref(&machines), 2), 1);
    assert_eq!(side_by_side(&[container, machines.clone()], 1), 1, "at least one at a time");
    assert_eq!(side_by_side(&[machines], 16), 8);
}
