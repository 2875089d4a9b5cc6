//! Scaling: workers are added and removed, and after each failure no partly made or partly removed worker stays.

use std::time::Duration;

use provisioner::error::{Hint, chain};
use provisioner::{Cluster, Drain, WorkersError};
use rstest::rstest;

use super::*;
use crate::given::creation;

const TIMEOUT: Drain = Drain::Within(Duration::from_secs(30));

impl Lab {
    /// The names of all nodes that exist, also of those that the registry does not have.
    async fn nodes(&self) -> Vec<String> {
        let sightings = self.engine.sightings().await.unwrap();
        let name = |name: String| name.rsplit_once('.').map(|(_, node)| node.to_owned());
        sightings.into_iter().filter_map(|sighting| name(sighting.name)).collect()
    }

    fn entry(&self) -> provisioner::registry::Instance {
        self.provisioner.registry().find("acme").unwrap().unwrap()
    }

    /// Checks that registry and nodes are as before the change.
    async fn assert_as_before(&self, before: &Cluster) {
        assert_eq!(self.entry(), before.instance);
        let names: Vec<&str> = before.plan.nodes.iter().map(|node| node.name.as_str()).collect();
        assert_eq!(self.nodes().await, names);
    }
}

fn names(cluster: &Cluster) -> Vec<&str> {
    cluster.nodes.iter().map(provisioner::node::Node::name).collect()
}

fn stage(error: &WorkersError) -> (Stage, Residue) {
    match error {
        WorkersError::Stage { stage, residue, .. } => (*stage, *residue),
        other => panic!("an error without a stage: {other:?}"),
    }
}

#[tokio::test]
async fn the_second_of_three_is_removed_and_the_next_one_takes_its_place() {
    let lab = lab();
    let spec = ClusterSpec::new("acme").workers(3).engine(EngineKind::Simulated).check().unwrap();
    let before = lab.provisioner.create(&spec, Keeper::Operator).await.unwrap();
    let mut events = lab.provisioner.events().subscribe();
    let without = lab.provisioner.remove_worker("acme", "acme-w-2", TIMEOUT).await.unwrap();
    assert_eq!(names(&without), ["acme-cp-1", "acme-w-1", "acme-w-3"]);
    assert_eq!(lab.nodes().await, names(&without));
    assert_eq!(lab.provisioner.attach("acme").await.unwrap().plan, without.plan);
    let again = lab.provisioner.add_workers("acme", 1).await.unwrap();
    assert_eq!((again.plan, again.instance), (before.plan.clone(), before.instance.clone()));
    lab.assert_as_before(&before).await;
    let mut told = Vec::new();
    while let Ok(event) = events.try_recv() {
        match event {
            Event::WorkerAdded { node, .. } => told.push(format!("+{node}")),
            Event::WorkerRemoved { node, .. } => told.push(format!("-{node}")),
            _ => {}
        }
    }
    assert_eq!(told, ["-acme-w-2", "+acme-w-2"]);
    assert_ne!(lab.provisioner.destroy("acme").await.unwrap(), []);
    lab.assert_empty().await;
}

#[tokio::test]
async fn adding_and_removing_a_worker_runs_these_commands() {
    let lab = lab();
    let spec = ClusterSpec::new("acme").workers(1).engine(EngineKind::Simulated).check().unwrap();
    lab.provisioner.create(&spec, Keeper::Operator).await.unwrap();
    let up = lab.engine.commands().len();
    lab.provisioner.add_workers("acme", 1).await.unwrap();
    let added = lab.engine.commands().len();
    lab.provisioner.remove_worker("acme", "acme-w-1", TIMEOUT).await.unwrap();
    let commands = crate::provision::shown(&lab.engine);
    let (added, removed) = (&commands[up..added], &commands[added..]);
    insta::assert_snapshot!(format!("{}\n\nand removed:\n{}", added.join("\n"), removed.join("\n")));
}

#[rstest]
#[case::before_the_node(Fault::Create { after: 3 }, Stage::Nodes)]
#[case::pod_network(Fault::Command("ip -batch".to_owned()), Stage::Network)]
#[case::no_token(Fault::Command("create --validate=false".to_owned()), Stage::Join)]
#[case::join(Fault::Command("kubeadm join".to_owned()), Stage::Join)]
#[case::hanging_join(Fault::Hang("kubeadm join".to_owned()), Stage::Join)]
#[case::vanished(Fault::Vanish("kubeadm join".to_owned()), Stage::Join)]
#[case::never_ready(Fault::Hang("condition=Ready".to_owned()), Stage::Ready)]
#[tokio::test(start_paused = true)]
async fn a_worker_that_does_not_come_up_is_removed_and_the_next_try_succeeds(
    #[case] fault: Fault,
    #[case] at: Stage,
) {
    for settled in [true, false] {
        let lab = lab();
        let before = lab.up("acme").await.unwrap();
        let engine = lab.engine.clone().with_fault(fault.clone());
        let error = lab.provisioner.add_workers("acme", 1).await.unwrap_err();
        assert_eq!(stage(&error), (at, Residue::Recorded), "{error:?}");
        let entry = lab.entry();
        assert_eq!((entry.transit.numbers().collect::<Vec<_>>(), entry.operation), (vec![3], None));
        let attached = lab.provisioner.attach("acme").await.unwrap();
        assert_eq!(attached.plan, before.plan, "the other nodes have changed");
        engine.heal();
        if settled {
            assert_eq!(lab.provisioner.settle_workers("acme").await.unwrap(), ["acme-w-3"]);
            lab.assert_as_before(&before).await;
        }
        let after = lab.provisioner.add_workers("acme", 1).await.unwrap();
        assert_eq!(names(&after), ["acme-cp-1", "acme-w-1", "acme-w-2", "acme-w-3"]);
        assert!(lab.entry().transit.is_empty());
        assert_ne!(lab.provisioner.destroy("acme").await.unwrap(), []);
        lab.assert_empty().await;
    }
}

#[tokio::test]
async fn a_worker_that_vanishes_before_its_join_is_named_whether_it_is_the_first_or_a_later_one() {
    let lab = lab();
    let faulty = lab.engine.clone().with_fault(Fault::Vanish("kubeadm join".to_owned()));
    let error = lab.up("acme").await.unwrap_err();
    assert_eq!((error.stage, error.residue), (Stage::Join, Residue::Recorded));
    assert!(chain(&error).contains("wait for `kubeadm join` on acme-w-1"), "{}", chain(&error));
    assert_ne!(lab.provisioner.destroy("acme").await.unwrap(), []);
    lab.assert_empty().await;
    faulty.heal();
    lab.up("acme").await.unwrap();
    let _faulty = lab.engine.clone().with_fault(Fault::Vanish("kubeadm join".to_owned()));
    let error = lab.provisioner.add_workers("acme", 1).await.unwrap_err();
    assert!(chain(&error).contains("wait for `kubeadm join` on acme-w-3"), "{}", chain(&error));
}

#[rstest]
#[case::of_a_bring_up(true)]
#[case::of_a_new_worker(false)]
#[tokio::test]
async fn a_token_is_deleted_also_when_a_join_fails(#[case] bring_up: bool) {
    let lab = lab();
    if !bring_up {
        lab.up("acme").await.unwrap();
    }
    let before = lab.engine.commands().len();
    let _faulty = lab.engine.clone().with_fault(Fault::Command("kubeadm join".to_owned()));
    match bring_up {
        true => assert!(lab.up("acme").await.is_err()),
        false => assert!(lab.provisioner.add_workers("acme", 1).await.is_err()),
    }
    let commands = lab.engine.commands();
    let ran = |text: &str| commands[before..].iter().position(|(_, command)| command.contains(text));
    let (join, deleted) = (ran("kubeadm join").unwrap(), ran("delete secret --namespace kube-system"));
    assert!(deleted.is_some_and(|deleted| deleted > join), "the bootstrap token is left: {deleted:?}");
}

#[tokio::test]
async fn a_drain_that_does_not_finish_names_the_pods_that_are_left_and_the_worker_stays() {
    let lab = lab();
    let before = lab.up("acme").await.unwrap();
    let left = "default  web-5d8c  ReplicaSet\nkube-system  kube-proxy-x2  DaemonSet\n";
    let engine = lab.engine.clone().answering("get pods", left);
    let engine = engine.with_fault(Fault::Command("drain acme-w-1".to_owned()));
    let error = lab.provisioner.remove_worker("acme", "acme-w-1", TIMEOUT).await.unwrap_err();
    assert_eq!(stage(&error), (Stage::Drain, Residue::Nothing));
    assert!(chain(&error).contains("drain acme-w-1: the pod default/web-5d8c is left"), "{}", chain(&error));
    assert!(error.hint().unwrap().contains("uncordon"), "{:?}", error.hint());
    lab.assert_as_before(&before).await;
    let forced = lab.provisioner.remove_worker("acme", "acme-w-1", Drain::Skipped).await.unwrap();
    assert_eq!(names(&forced), ["acme-cp-1", "acme-w-2"]);
    engine.heal();
}

#[rstest]
#[case::node(Fault::Destroy)]
#[case::node_object(Fault::Command("delete --ignore-not-found node".to_owned()))]
#[case::routes(Fault::Command("ip -batch".to_owned()))]
#[tokio::test]
async fn a_removal_that_fails_half_way_is_finished_by_the_next_one(#[case] fault: Fault) {
    let lab = lab();
    lab.up("acme").await.unwrap();
    let engine = lab.engine.clone().with_fault(fault);
    let error = lab.provisioner.remove_worker("acme", "acme-w-1", TIMEOUT).await.unwrap_err();
    assert_eq!(stage(&error), (Stage::Leave, Residue::Recorded));
    assert_eq!(lab.entry().transit.numbers().collect::<Vec<_>>(), [1]);
    engine.heal();
    let after = lab.provisioner.remove_worker("acme", "acme-w-1", TIMEOUT).await.unwrap();
    assert_eq!(names(&after), ["acme-cp-1", "acme-w-2"]);
    assert_eq!(lab.nodes().await, names(&after));
    assert!(lab.entry().transit.is_empty());
}

#[tokio::test]
async fn a_worker_whose_node_is_gone_is_removed_by_force() {
    let lab = lab();
    let cluster = lab.up("acme").await.unwrap();
    lab.engine.destroy_node(&cluster.plan, &cluster.plan.nodes[2]).await.unwrap();
    let error = lab.provisioner.add_workers("acme", 1).await.unwrap_err();
    assert!(error.hint().unwrap().contains("remove-worker acme acme-w-2 --force"), "{error:?}");
    let after = lab.provisioner.remove_worker("acme", "acme-w-2", Drain::Skipped).await.unwrap();
    assert_eq!(names(&after), ["acme-cp-1", "acme-w-1"]);
}

#[tokio::test]
async fn a_cancelled_change_and_a_killed_one_are_undone_by_the_next_operation() {
    let lab = lab();
    let before = lab.up("acme").await.unwrap();
    let hanging = lab.engine.clone().with_fault(Fault::Hang("kubeadm join".to_owned()));
    let mut events = lab.provisioner.events().subscribe();
    let joining = async {
        while let Ok(event) = events.recv().await {
            if matches!(event, Event::StageStarted { stage: Stage::Join, .. }) {
                let busy = lab.provisioner.add_workers("acme", 1).await.unwrap_err();
                let begun = format!("process {} has begun to add workers to it", std::process::id());
                assert!(busy.to_string().contains(&begun), "{busy}");
                let other = lab.provisioner.remove_worker("acme", "acme-w-1", TIMEOUT).await.unwrap_err();
                assert!(other.to_string().contains(&begun), "{other}");
                let halt = lab.provisioner.halt("acme").await.unwrap_err();
                assert!(halt.to_string().contains(&begun), "{halt}");
                break;
            }
        }
    };
    tokio::select! {
        _ = lab.provisioner.add_workers("acme", 1) => panic!("the hanging join has ended"),
        () = joining => {}
    }
    hanging.heal();
    assert_eq!(lab.entry().operation, None, "a cancelled change still blocks other operations");
    let killed = Operation { kind: OperationKind::AddWorkers, ..creation() };
    lab.provisioner.registry().update("acme", |instance| instance.operation = Some(killed)).unwrap();
    assert_eq!(lab.provisioner.settle_workers("acme").await.unwrap(), ["acme-w-3"]);
    lab.assert_as_before(&before).await;
    assert_eq!(lab.provisioner.settle_workers("acme").await.unwrap(), [""; 0]);
}

#[tokio::test]
async fn destroying_a_cluster_removes_the_workers_in_transit() {
    let lab = lab();
    lab.up("acme").await.unwrap();
    let engine = lab.engine.clone().with_fault(Fault::Command("kubeadm join".to_owned()));
    lab.provisioner.add_workers("acme", 2).await.unwrap_err();
    assert_eq!(lab.nodes().await.len(), 5);
    engine.heal();
    assert_ne!(lab.provisioner.destroy("acme").await.unwrap(), []);
    lab.assert_empty().await;
}

#[tokio::test]
async fn another_clusters_kubeconfig_stops_every_change_before_it_begins() {
    let lab = lab();
    let before = lab.up("acme").await.unwrap();
    let foreign = std::fs::read_to_string(&before.kubeconfig).unwrap().replace(".60.10", ".61.10");
    std::fs::write(&before.kubeconfig, foreign).unwrap();
    let added = lab.provisioner.add_workers("acme", 1).await.unwrap_err();
    let removed = lab.provisioner.remove_worker("acme", "acme-w-1", Drain::Skipped).await.unwrap_err();
    for error in [added, removed] {
        assert!(matches!(error, WorkersError::Identity(_)), "{error:?}");
    }
    lab.assert_as_before(&before).await;
}

#[tokio::test]
async fn the_control_plane_runs_pods_after_the_last_worker_is_removed() {
    let lab = lab();
    let spec = ClusterSpec::new("acme").workers(1).engine(EngineKind::Simulated).check().unwrap();
    lab.provisioner.create(&spec, Keeper::Operator).await.unwrap();
    let before = lab.engine.commands().len();
    lab.provisioner.remove_worker("acme", "acme-w-1", TIMEOUT).await.unwrap();
    let taints = |from: usize| -> Vec<String> {
        let commands = lab.engine.commands().into_iter().skip(from).map(|(_, command)| command);
        commands.filter_map(|command| Some(command.split_once("taint node ")?.1.to_owned())).collect()
    };
    let taint = "acme-cp-1 node-role.kubernetes.io/control-plane:NoSchedule";
    assert_eq!(taints(before), [format!("{taint} --overwrite"), format!("{taint}-")]);
    let before = lab.engine.commands().len();
    lab.provisioner.add_workers("acme", 1).await.unwrap();
    assert_eq!(taints(before), [format!("{taint} --overwrite")]);
}
