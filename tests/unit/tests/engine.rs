//! The simulated engine keeps the promises of all engines, and breaks them where a fault is injected.

use std::sync::Arc;
use std::time::Duration;

use provisioner::engine::{Engine, EngineError, Fault, MissingRequirement, SimulatedEngine};
use provisioner::exec::{Command, Failure};
use provisioner::plan::Taken;
use provisioner::request::EngineKind;

use crate::given::{House, planned};

#[tokio::test]
async fn the_simulated_engine_keeps_every_promise() -> anyhow::Result<()> {
    let house = House::new();
    let engine = SimulatedEngine::new(house.home.id());
    contract::engine_suite(EngineKind::Simulated, Arc::new(engine), house.home.clone(), Taken::default())
        .await
}

#[tokio::test]
async fn homes_on_one_host_do_not_see_each_other() {
    let (ours, theirs) = (House::new(), House::new());
    let engine = SimulatedEngine::new(ours.home.id());
    let other = engine.for_home(theirs.home.id());
    engine.create(&planned("acme", &ours.home)).await.unwrap();
    assert_eq!(other.sightings().await.unwrap(), []);
    let plan = planned("acme", &theirs.home);
    other.destroy(&plan.id, &plan.folder).await.unwrap();
    assert_eq!(engine.sightings().await.unwrap().len(), 4);
}

#[tokio::test]
async fn a_create_that_fails_half_way_leaves_its_objects_and_can_be_finished() {
    let house = House::new();
    let plan = planned("acme", &house.home);
    for after in 0..=4 {
        let engine = SimulatedEngine::new(house.home.id()).with_fault(Fault::Create { after });
        let error = engine.create(&plan).await.unwrap_err();
        assert!(matches!(error, EngineError::Injected(_)), "{error}");
        assert_eq!(engine.sightings().await.unwrap().len(), after);
        engine.heal();
        assert_eq!(engine.create(&plan).await.unwrap().len(), 4);
    }
}

#[tokio::test]
async fn a_destroy_that_fails_removes_nothing_and_works_the_second_time() {
    let house = House::new();
    let plan = planned("acme", &house.home);
    let engine = SimulatedEngine::new(house.home.id()).with_fault(Fault::Destroy);
    engine.create(&plan).await.unwrap();
    engine.destroy(&plan.id, &plan.folder).await.unwrap_err();
    assert_eq!(engine.sightings().await.unwrap().len(), 4);
    engine.destroy(&plan.id, &plan.folder).await.unwrap();
    assert_eq!(engine.sightings().await.unwrap(), []);
}

#[tokio::test]
async fn a_missing_requirement_is_reported_by_the_preflight() {
    let lack = MissingRequirement { what: "root".to_owned(), remedy: "sudo homelab up".to_owned() };
    let engine = SimulatedEngine::new("abcdef").with_fault(Fault::Preflight(lack.clone()));
    assert_eq!(engine.preflight().await, [lack]);
    engine.heal();
    assert_eq!(engine.preflight().await, []);
}

#[tokio::test(start_paused = true)]
async fn commands_are_recorded_answered_failed_and_hung_as_configured() {
    let house = House::new();
    let engine = SimulatedEngine::new(house.home.id())
        .answering("uname", "Linux\n")
        .with_fault(Fault::Command("kubeadm join".to_owned()))
        .with_fault(Fault::Hang("/readyz".to_owned()));
    let nodes = engine.create(&planned("acme", &house.home)).await.unwrap();
    let command = |text: &str| {
        let mut words = text.split(' ');
        Command::within(Duration::from_secs(9), words.next().unwrap_or_default()).args(words)
    };
    assert_eq!(nodes[0].run(&command("uname -a")).await.unwrap().text(), "Linux\n");
    let failed = nodes[1].run(&command("kubeadm join --config /x")).await.unwrap_err();
    insta::assert_snapshot!(failed, @r"
    run `kubeadm join --config /x` in acme-w-1: exit status: 1
      stderr: injected failure of `kubeadm join`
    ");
    let started = tokio::time::Instant::now();
    let hung = nodes[0].run(&command("kubectl get --raw /readyz")).await.unwrap_err();
    assert!(matches!(hung.failure, Failure::Deadline { .. }), "{hung}");
    assert!(started.elapsed() >= Duration::from_secs(9));
    let ran = engine.commands();
    let ran: Vec<(&str, &str)> = ran.iter().map(|(node, command)| (&**node, &**command)).collect();
    assert_eq!(
        ran,
        [
            ("acme-cp-1", "uname -a"),
            ("acme-w-1", "kubeadm join --config /x"),
            ("acme-cp-1", "kubectl get --raw /readyz"),
        ]
    );
}
