//! One operation at a time on an instance, between processes and within one. The next command finishes or undoes the
//! operation of a killed process.

use provisioner::engine::Fault;
use provisioner::registry::{Abandoned, Need};
use rstest::rstest;

use super::*;
use crate::given::{another_process, creation};

/// The operation of a process of an earlier boot, which has ended.
fn killed(kind: OperationKind) -> Operation {
    Operation { kind, ..creation() }
}

impl Lab {
    fn record(&self, operation: Operation, state: State) {
        let change = |acme: &mut provisioner::registry::Instance| {
            acme.state = state;
            acme.operation = Some(operation);
        };
        self.provisioner.registry().update("acme", change).unwrap();
    }

    fn acme(&self) -> provisioner::registry::Instance {
        self.provisioner.registry().find("acme").unwrap().unwrap()
    }
}

#[tokio::test]
async fn while_a_process_changes_an_instance_every_other_operation_is_refused_and_nothing_is_done() {
    let lab = lab();
    lab.up("acme").await.unwrap();
    let (process, owner) = another_process();
    let pid = owner.pid;
    lab.record(Operation { owner: owner.clone(), ..killed(OperationKind::Halt) }, State::Running);
    let (entry, commands) = (lab.acme(), lab.engine.commands().len());
    let provisioner = &lab.provisioner;
    let refusals = [
        ("halt", provisioner.halt("acme").await.unwrap_err().to_string()),
        ("pause", provisioner.pause("acme").await.unwrap_err().to_string()),
        ("start", provisioner.start("acme").await.unwrap_err().to_string()),
        ("resume", provisioner.resume("acme").await.unwrap_err().to_string()),
        ("add", provisioner.add_workers("acme", 1).await.unwrap_err().to_string()),
        (
            "remove",
            provisioner
                .remove_worker("acme", "acme-w-1", provisioner::Drain::Skipped)
                .await
                .unwrap_err()
                .to_string(),
        ),
        ("renew", provisioner.renew_certificates("acme").await.unwrap_err().to_string()),
        ("destroy", provisioner.destroy("acme").await.unwrap_err().to_string()),
    ];
    let said = format!("instance 'acme' is busy: process {pid} has begun to halt it");
    for (verb, refusal) in refusals {
        assert!(refusal.contains(&said), "{verb}: {refusal}");
    }
    assert_eq!(provisioner.reap().await.unwrap().reaped.len(), 0);
    assert_eq!((lab.acme(), lab.engine.commands().len()), (entry, commands));
    assert_eq!(lab.acme().need(&lab.house.home), Need::Process(&owner));
    drop(process);
    crate::given::until(|| {
        (owner.liveness(&lab.house.home) == provisioner::registry::Liveness::Dead).then_some(())
    });
    assert_eq!(provisioner.halt("acme").await.unwrap().state, State::Halted);
}

#[rstest]
#[case::halt(OperationKind::Halt, State::Halted)]
#[case::pause(OperationKind::Pause, State::Paused)]
#[case::start(OperationKind::Start, State::Halted)]
#[case::resume(OperationKind::Resume, State::Paused)]
#[case::certificates(OperationKind::RenewCertificates, State::Running)]
#[tokio::test]
async fn an_operation_of_a_killed_process_is_finished_by_the_next_command(
    #[case] kind: OperationKind,
    #[case] state: State,
) {
    let lab = lab();
    lab.up("acme").await.unwrap();
    lab.record(killed(kind), state);
    assert_eq!(lab.acme().need(&lab.house.home), Need::Operator, "the instance could be reaped");
    assert_eq!(lab.provisioner.reap().await.unwrap().reaped.len(), 0);
    let after = lab.provisioner.start("acme").await.unwrap();
    assert_eq!((after.state, after.operation), (State::Running, None));
}

#[tokio::test]
async fn an_instance_whose_creation_was_killed_is_replaced_by_the_next_up_of_its_name() {
    let lab = lab();
    let first = lab.up("acme").await.unwrap();
    lab.record(killed(OperationKind::Create), State::Creating);
    let need = Need::Abandoned(Abandoned::Creation(creation().owner.pid));
    assert_eq!(lab.acme().need(&lab.house.home), need);
    let second = lab.up("acme").await.unwrap();
    assert!(second.instance.created_at > first.instance.created_at, "the old entry is used");
    assert_eq!((second.instance.state, second.instance.operation), (State::Running, None));
    assert_eq!(lab.engine.sightings().await.unwrap().len(), 3);
}

#[rstest]
#[case::created(OperationKind::Create, State::Creating)]
#[case::destroyed(OperationKind::Destroy, State::Destroying)]
#[tokio::test]
async fn an_operators_instance_whose_creation_or_destruction_was_killed_is_reaped(
    #[case] kind: OperationKind,
    #[case] state: State,
) {
    let lab = lab();
    lab.up("acme").await.unwrap();
    lab.record(killed(kind), state);
    let reaped = lab.provisioner.reap().await.unwrap().reaped;
    assert!(matches!(&reaped[..], [one] if one.outcome.is_ok()), "{reaped:?}");
    lab.assert_empty().await;
}

#[tokio::test]
async fn an_operation_that_fails_is_not_in_progress_any_more() {
    let lab = lab();
    lab.up("acme").await.unwrap();
    let faulty = lab.engine.clone().with_fault(Fault::Destroy);
    lab.provisioner.destroy("acme").await.unwrap_err();
    assert_eq!((lab.acme().state, lab.acme().operation), (State::Destroying, None));
    faulty.heal();
    assert_ne!(lab.provisioner.destroy("acme").await.unwrap(), []);
    lab.assert_empty().await;
}

#[tokio::test]
async fn a_failed_creation_belongs_to_its_process_until_it_is_destroyed_or_kept() {
    let lab = lab();
    let faulty = lab.engine.clone().with_fault(Fault::Command("kubeadm init".to_owned()));
    lab.up("acme").await.unwrap_err();
    let operation = lab.acme().operation.unwrap();
    assert_eq!((lab.acme().state, operation.kind), (State::Failed, OperationKind::Create));
    assert!(operation.owner.is_this_process());
    assert_eq!(lab.provisioner.reap().await.unwrap().reaped.len(), 0);
    let kept = lab.provisioner.keep("acme").unwrap();
    assert_eq!((kept.keeper, kept.operation), (Keeper::Operator, None));
    faulty.heal();
    lab.up("acme").await.unwrap_err();
    assert_ne!(lab.provisioner.destroy("acme").await.unwrap(), []);
    lab.assert_empty().await;
}
