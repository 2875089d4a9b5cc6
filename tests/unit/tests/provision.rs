//! The flow on the simulated engine, and the fault sweep: an error says what is left for each step that fails, and
//! `destroy` removes everything.

mod engines;
mod faults;
mod operations;
mod power;
mod release;
mod slowdown;
mod workers;

use std::sync::Arc;

use provisioner::Provisioner;
use provisioner::engine::{Engine, Fault, SimulatedEngine};
use provisioner::events::Event;
use provisioner::registry::{Keeper, Operation, OperationKind, Owner, State};
use provisioner::request::{CheckedSpec, ClusterSpec, EngineKind, Topology};
use provisioner::stage::Stage;
use provisioner::{ProvisionError, Residue};

use crate::given::{House, simulated};

const FOREIGN: &str = "contexts:\n- name: work\n  context: {cluster: work}\ncurrent-context: work\n";

struct Lab {
    house: House,
    engine: SimulatedEngine,
    provisioner: Provisioner,
}

fn lab() -> Lab {
    let (house, engine, provisioner) = simulated();
    house.kubeconfig(FOREIGN);
    Lab { house, engine, provisioner }
}

/// The spec of an instance with three control planes and a worker.
fn highly_available(name: &str) -> CheckedSpec {
    let spec = ClusterSpec::new(name).topology(Topology::Ha).workers(1);
    spec.engine(EngineKind::Simulated).check().unwrap()
}

impl Lab {
    async fn up(&self, name: &str) -> Result<provisioner::Cluster, ProvisionError> {
        let spec = ClusterSpec::new(name).workers(2).engine(EngineKind::Simulated).check().unwrap();
        self.provisioner.create(&spec, Keeper::Operator).await
    }

    /// Checks that nothing is left of any instance, in memory or on disk.
    async fn assert_empty(&self) {
        assert_eq!(self.provisioner.registry().list().unwrap(), []);
        assert_eq!(self.engine.sightings().await.unwrap(), []);
        let instances = self.house.home.root().join("instances");
        let left = std::fs::read_dir(instances).map_or(0, Iterator::count);
        assert_eq!(left, 0, "folders of instances are left");
        assert!(!self.house.home.active_context().exists());
        let merged = self.house.merged();
        assert!(merged.starts_with("contexts:\n- name: work\n  context: {cluster: work}\n"), "{merged}");
        assert!(!merged.contains("acme"), "{merged}");
    }
}

#[tokio::test]
async fn destroying_an_unknown_instance_is_one_event() {
    let lab = lab();
    let mut events = lab.provisioner.events().subscribe();
    assert_eq!(lab.provisioner.destroy("acme").await.unwrap(), []);
    let told = events.try_recv().unwrap();
    let done = matches!(told, Event::StageCompleted { stage: Stage::Destroy, error: None, .. });
    assert!(done, "{told:?}");
    assert!(events.try_recv().is_err(), "there is another event");
}

#[tokio::test]
async fn a_cluster_comes_up_and_is_destroyed_and_leaves_nothing() {
    let lab = lab();
    let mut events = lab.provisioner.events().subscribe();
    let cluster = lab.up("acme").await.unwrap();
    assert_eq!(cluster.instance.state, State::Running);
    assert_eq!(cluster.nodes.len(), 3);
    let isolated = std::fs::read_to_string(&cluster.kubeconfig).unwrap();
    assert!(isolated.contains("server: https://192.168.60.10:6443"), "{isolated}");
    assert!(lab.house.merged().contains("name: acme"));
    assert!(lab.house.merged().contains("current-context: work"));

    let elsewhere = Provisioner::with_engine(lab.house.home.clone(), Arc::new(lab.engine.clone()));
    assert_eq!(elsewhere.attach("acme").await.unwrap().plan, cluster.plan);
    assert_ne!(elsewhere.destroy("acme").await.unwrap(), []);
    lab.assert_empty().await;
    assert_eq!(elsewhere.destroy("acme").await.unwrap(), [], "something was left to destroy");

    let mut stages = Vec::new();
    while let Ok(event) = events.try_recv() {
        if let Event::StageStarted { stage, node: None, .. } = event {
            stages.push(stage);
        }
    }
    stages.dedup();
    insta::assert_debug_snapshot!(stages);
}

#[tokio::test]
async fn bringing_up_runs_these_commands_in_this_order() {
    let lab = lab();
    let spec = ClusterSpec::new("acme").workers(1).engine(EngineKind::Simulated).check().unwrap();
    lab.provisioner.create(&spec, Keeper::Operator).await.unwrap();
    insta::assert_snapshot!(shown(&lab.engine).join("\n"));
}

/// All commands until now, with a placeholder for the random bootstrap token.
fn shown(engine: &SimulatedEngine) -> Vec<String> {
    let shown = engine.commands().into_iter().map(|(node, command)| {
        let command = match command.split_once("bootstrap-token-") {
            Some((before, after)) => format!("{before}bootstrap-token-[id]{}", &after[6..]),
            None => command,
        };
        format!("{node}: {command}")
    });
    shown.collect()
}

#[tokio::test]
async fn control_planes_join_one_after_the_other_before_any_worker_and_bring_their_authorities() {
    let lab = lab();
    let spec = highly_available("acme");
    let cluster = lab.provisioner.create(&spec, Keeper::Operator).await.unwrap();
    let commands = lab.engine.commands();
    let joins: Vec<_> = commands.iter().filter(|(_, command)| command.starts_with("kubeadm join")).collect();
    let joined: Vec<&str> = joins.iter().map(|(node, _)| node.as_str()).collect();
    assert_eq!(joined, ["acme-cp-2", "acme-cp-3", "acme-w-1"]);
    let authority = cluster.nodes.first.read("/etc/kubernetes/pki/etcd/ca.key").await.unwrap();
    for plane in &cluster.nodes.others[..2] {
        assert_eq!(plane.read("/etc/kubernetes/pki/etcd/ca.key").await.unwrap(), authority);
        assert!(plane.read("/etc/keepalived/keepalived.conf").await.unwrap().contains("192.168.60.5/32"));
    }
    for secret in
        ["/etc/kubernetes/pki/ca.key", "/etc/kubernetes/pki/sa.key", "/etc/keepalived/keepalived.conf"]
    {
        assert!(cluster.nodes.others[2].read(secret).await.is_err(), "a worker has {secret}");
    }
    for (_, command) in &commands {
        let (run, skipped) = command.split_once("--skip-phases").unwrap_or((command, ""));
        let uploads = run.contains("upload-certs")
            || (run.starts_with("kubeadm init") && !skipped.contains("upload-certs"));
        assert!(!uploads, "authorities were uploaded: {command}");
    }
    let isolated = std::fs::read_to_string(&cluster.kubeconfig).unwrap();
    assert!(isolated.contains("server: https://192.168.60.5:6443"), "{isolated}");
}

#[tokio::test]
async fn a_second_cluster_of_a_name_is_refused_and_the_first_one_is_left_alone() {
    let lab = lab();
    lab.up("acme").await.unwrap();
    let error = lab.up("acme").await.unwrap_err();
    assert_eq!((error.stage, error.residue), (Stage::Claim, Residue::Nothing));
    assert_eq!(error.source.to_string(), "name acme already in use by instance 'acme'");
    let entry = lab.provisioner.registry().find("acme").unwrap().unwrap();
    assert_eq!(entry.state, State::Running);
    assert_eq!(lab.engine.sightings().await.unwrap().len(), 3);
}

#[tokio::test]
async fn a_destroy_that_fails_keeps_the_entry_and_can_be_repeated() {
    let lab = lab();
    lab.up("acme").await.unwrap();
    let _faulty = lab.engine.clone().with_fault(Fault::Destroy);
    let error = lab.provisioner.destroy("acme").await.unwrap_err();
    assert_eq!(error.to_string(), "take down acme: injected failure: destroy, once");
    let entry = lab.provisioner.registry().find("acme").unwrap().unwrap();
    assert_eq!(entry.state, State::Destroying);
    assert_ne!(lab.provisioner.destroy("acme").await.unwrap(), []);
    lab.assert_empty().await;
}

#[tokio::test]
async fn clusters_side_by_side_share_nothing_and_are_destroyed_one_by_one() {
    let lab = lab();
    let (acme, globex) = tokio::try_join!(lab.up("acme"), lab.up("acme-1")).unwrap();
    assert_ne!(acme.plan.subnet, globex.plan.subnet);
    assert_ne!(lab.provisioner.destroy("acme").await.unwrap(), []);
    let left = lab.provisioner.attach("acme-1").await.unwrap();
    assert_eq!(left.nodes.len(), 3);
    assert!(lab.house.merged().contains("name: acme-1"));
    assert_ne!(lab.provisioner.destroy("acme-1").await.unwrap(), []);
    lab.assert_empty().await;
}

#[tokio::test]
async fn reap_removes_abandoned_instances_and_objects_without_an_entry_and_nothing_else() {
    let lab = lab();
    let owner = Owner::current("run-1").unwrap();
    let dead = Owner { start_time: owner.start_time + 1, ..owner.clone() };
    let spec = |name: &str| ClusterSpec::new(name).workers(0).engine(EngineKind::Simulated).check().unwrap();
    for (name, keeper) in
        [("operators", Keeper::Operator), ("running", Keeper::Run(owner)), ("abandoned", Keeper::Run(dead))]
    {
        lab.provisioner.create(&spec(name), keeper).await.unwrap();
    }
    lab.engine.create(&crate::given::planned("unexplained", &lab.house.home)).await.unwrap();
    let reaped = lab.provisioner.reap().await.unwrap();
    assert_eq!(reaped.spared, []);
    let reaped: Vec<(String, bool)> =
        reaped.reaped.into_iter().map(|reaped| (reaped.instance, reaped.outcome.is_ok())).collect();
    assert_eq!(reaped, [("abandoned".to_owned(), true), ("unexplained".to_owned(), true)]);
    let left: Vec<String> =
        lab.provisioner.registry().instances().unwrap().into_iter().map(|instance| instance.name).collect();
    assert_eq!(left, ["operators", "running"]);
    assert_eq!(lab.engine.sightings().await.unwrap().len(), 2);
}
