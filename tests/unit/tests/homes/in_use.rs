//! Nothing is removed that another process or home needs.

use provisioner::engine::{Engine, Fault, SimulatedEngine};
use provisioner::error::Hint;
use provisioner::plan::ClusterPlan;
use provisioner::registry::{Entry, Keeper, Operation, Owner, State, UnknownLiveness};
use provisioner::request::{CheckedSpec, ClusterSpec, EngineKind};
use provisioner::{ProvisionError, Provisioner, ReleaseError, Residue, Spared};

use crate::given::{House, another_process, creation, simulated, until};

struct Lab {
    house: House,
    engine: SimulatedEngine,
    provisioner: Provisioner,
}

fn lab() -> Lab {
    let (house, engine, provisioner) = simulated();
    Lab { house, engine, provisioner }
}

fn spec(name: &str) -> CheckedSpec {
    ClusterSpec::new(name).workers(0).engine(EngineKind::Simulated).check().unwrap()
}

impl Lab {
    async fn up(&self, name: &str) {
        self.provisioner.create(&spec(name), Keeper::Operator).await.unwrap();
    }

    fn owned(&self, name: &str, owner: &Owner) {
        self.provisioner
            .registry()
            .update(name, |instance| instance.keeper = Keeper::Run(owner.clone()))
            .unwrap();
    }

    fn entries(&self) -> Vec<Entry> {
        self.provisioner.registry().list().unwrap()
    }

    /// Makes a node of another home use the folder of an instance.
    async fn with_a_stranger(&self, name: &str) {
        let instance = self.provisioner.registry().find(name).unwrap().unwrap();
        let mut plan = ClusterPlan::of(&instance, &self.house.home);
        plan.id.home = "ffffff".to_owned();
        self.engine.for_home("ffffff").create(&plan).await.unwrap();
    }

    /// Removes the nodes of an instance, but not its entry.
    async fn without_nodes(&self, name: &str) {
        let instance = self.provisioner.registry().find(name).unwrap().unwrap();
        let plan = ClusterPlan::of(&instance, &self.house.home);
        self.engine.destroy(&plan.id, &plan.folder).await.unwrap();
    }
}

/// An owner of which this process cannot tell whether it lives: no PID namespace has the number 1.
fn unknown() -> Owner {
    Owner { pid_namespace: Some(1), ..Owner::current("run-1").unwrap() }
}

#[tokio::test]
async fn a_folder_with_another_homes_node_is_not_removed_and_the_refusal_names_the_node() {
    let lab = lab();
    lab.up("acme").await;
    lab.with_a_stranger("acme").await;
    let (entries, folder) = (lab.entries(), lab.house.home.instance("acme"));
    let error = lab.provisioner.destroy("acme").await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "take down acme: {folder} is used by container homelab-ffffff.acme.acme-cp-1; it was not removed"
        )
    );
    assert!(error.hint().unwrap().contains("podman rm --force"), "{:?}", error.hint());
    assert_eq!(error.removed, []);
    assert_eq!(lab.entries(), entries);
    assert!(folder.join("kubeconfig").exists());
    assert_eq!(lab.provisioner.attach("acme").await.unwrap().nodes.len(), 1);
}

#[tokio::test]
async fn neither_release_nor_reap_nor_down_without_an_entry_removes_a_folder_with_a_foreign_node() {
    let lab = lab();
    let folder = lab.house.home.instance("acme");
    lab.up("acme").await;
    lab.with_a_stranger("acme").await;
    lab.without_nodes("acme").await;
    let error = lab.provisioner.release("acme").await.unwrap_err();
    assert!(matches!(error, ReleaseError::Destroy(_)), "{error}");
    let dead = Owner { start_time: 0, ..Owner::current("run-1").unwrap() };
    lab.owned("acme", &dead);
    let reaping = lab.provisioner.reap().await.unwrap();
    assert!(matches!(&reaping.reaped[..], [one] if one.outcome.is_err()), "{reaping:?}");
    lab.provisioner.registry().release("acme").unwrap();
    lab.provisioner.destroy("acme").await.unwrap_err();
    assert!(folder.join("kubeconfig").exists());
}

#[tokio::test]
async fn a_foreign_node_in_another_instances_folder_does_not_stop_a_teardown() {
    let lab = lab();
    lab.up("acme").await;
    lab.up("acme-1").await;
    lab.with_a_stranger("acme-1").await;
    assert_ne!(lab.provisioner.destroy("acme").await.unwrap(), []);
}

#[tokio::test]
async fn an_instance_whose_owner_lives_elsewhere_is_not_taken_down_until_it_ends() {
    let lab = lab();
    lab.up("acme").await;
    let (process, owner) = another_process();
    lab.owned("acme", &owner);
    let entries = lab.entries();
    let error = lab.provisioner.destroy("acme").await.unwrap_err();
    let pid = owner.pid;
    assert_eq!(
        error.to_string(),
        format!("take down acme: process {pid} is running and needs acme; nothing was done")
    );
    assert!(
        error.hint().unwrap().starts_with(&format!("wait for process {pid}; or end it")),
        "{:?}",
        error.hint()
    );
    assert_eq!(lab.entries(), entries);
    assert_eq!(lab.provisioner.attach("acme").await.unwrap().nodes.len(), 1);
    drop(process);
    until(|| (owner.liveness(&lab.house.home) == provisioner::registry::Liveness::Dead).then_some(()));
    assert_ne!(lab.provisioner.destroy("acme").await.unwrap(), []);
}

#[tokio::test]
async fn an_owner_takes_its_own_instance_down() {
    let lab = lab();
    let owner = Owner::hold(&lab.house.home, "run-1").unwrap();
    lab.provisioner.create(&spec("acme"), Keeper::Run(owner)).await.unwrap();
    assert_ne!(lab.provisioner.destroy("acme").await.unwrap(), []);
}

#[tokio::test]
async fn reap_spares_an_instance_whose_owner_may_be_alive_and_down_takes_it_down() {
    let lab = lab();
    lab.up("acme").await;
    lab.owned("acme", &unknown());
    let entries = lab.entries();
    let reaping = lab.provisioner.reap().await.unwrap();
    assert!(reaping.reaped.is_empty(), "{reaping:?}");
    let pid = std::process::id();
    assert_eq!(
        reaping.spared,
        [Spared { instance: "acme".to_owned(), pid, why: UnknownLiveness::Namespace }]
    );
    assert_eq!(
        reaping.spared[0].to_string(),
        format!(
            "acme is left alone: it is unknown whether its owner, process {pid}, still runs \
             (it began in another PID namespace, such as a container's)"
        )
    );
    assert_eq!(lab.entries(), entries);
    lab.without_nodes("acme").await;
    let error = lab.provisioner.release("acme").await.unwrap_err();
    assert!(matches!(error, ReleaseError::UnknownLiveness { .. }), "{error}");
    assert_eq!(error.hint().as_deref(), Some("`sudo homelab down acme` takes it down anyway"));
    assert_ne!(lab.provisioner.destroy("acme").await.unwrap(), []);
}

/// The error of a bring-up that hangs while another process changes its instance.
async fn disturbed(lab: &Lab, disturb: impl FnOnce()) -> ProvisionError {
    let hanging = lab.engine.clone().with_fault(Fault::Hang("kubeadm init".to_owned()));
    let owner = Owner::hold(&lab.house.home, "run-1").unwrap();
    let spec = spec("acme");
    let create = lab.provisioner.create(&spec, Keeper::Run(owner));
    let begun = || hanging.commands().iter().filter(|(_, command)| command.contains("kubeadm init")).count();
    let before = begun(); // by an earlier bring-up on the same engine
    let hangs = async {
        while begun() == before {
            tokio::task::yield_now().await;
        }
        disturb();
    };
    tokio::join!(create, hangs).0.unwrap_err()
}

#[tokio::test]
async fn a_bring_up_whose_instance_another_process_takes_down_ends_at_once() {
    let lab = lab();
    let registry = lab.provisioner.registry().clone();
    let error = disturbed(&lab, || {
        registry.update("acme", |acme| acme.state = State::Destroying).unwrap();
    });
    let error = error.await;
    assert_eq!(error.source.to_string(), "another process took acme down during its creation");
    assert_eq!(error.residue, Residue::Nothing, "the process that takes it down removes it");
    let state = registry.find("acme").unwrap().unwrap().state;
    assert_eq!(state, State::Destroying, "the bring-up must not change the state");
}

#[tokio::test]
async fn a_bring_up_whose_claim_is_gone_or_has_another_owner_ends_at_once() {
    let lab = lab();
    let registry = lab.provisioner.registry().clone();
    let gone = disturbed(&lab, || drop(registry.release("acme").unwrap())).await;
    assert_eq!(gone.source.to_string(), "another process took acme down during its creation");
    assert_eq!(registry.find("acme").unwrap(), None);
    let taken = disturbed(&lab, || {
        registry
            .update("acme", |acme| acme.operation = Some(Operation { owner: unknown(), ..creation() }))
            .unwrap();
    });
    assert_eq!(taken.await.source.to_string(), "another process took acme down during its creation");
}
