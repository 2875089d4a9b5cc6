//! A claim is released only when nothing of the instance exists and no process is creating it.

use provisioner::ReleaseError;
use provisioner::error::Hint;
use provisioner::plan::InstanceId;

use super::*;

/// Removes the nodes without `down`, as a user could by hand.
async fn remove_nodes(lab: &Lab, name: &str) {
    let id = InstanceId { home: lab.house.home.id(), name: name.to_owned() };
    lab.engine.destroy(&id, &lab.house.home.instance(name)).await.unwrap();
}

#[tokio::test]
async fn a_claim_whose_nodes_are_gone_is_released_with_everything_else() {
    let lab = lab();
    lab.up("acme").await.unwrap();
    remove_nodes(&lab, "acme").await;
    assert_ne!(lab.provisioner.release("acme").await.unwrap(), []);
    lab.assert_empty().await;
    assert_eq!(lab.provisioner.release("acme").await.unwrap(), [], "something was left to release");
}

#[tokio::test]
async fn a_claim_with_nodes_is_kept_and_the_refusal_names_them() {
    let lab = lab();
    lab.up("acme").await.unwrap();
    let before = lab.provisioner.registry().list().unwrap();
    let seen = lab.engine.sightings().await.unwrap();
    let error = lab.provisioner.release("acme").await.unwrap_err();
    assert!(matches!(&error, ReleaseError::There { sightings, .. } if sightings.len() == seen.len()));
    for sighting in &seen {
        assert!(error.to_string().contains(&sighting.to_string()), "{error}");
    }
    assert_eq!(
        error.hint().unwrap(),
        "`sudo homelab status acme` shows it; `sudo homelab down acme` removes it with its data"
    );
    assert_eq!(lab.provisioner.registry().list().unwrap(), before);
    assert_eq!(lab.engine.sightings().await.unwrap(), seen);
}

#[tokio::test]
async fn nodes_of_other_instances_do_not_count() {
    let lab = lab();
    lab.up("acme").await.unwrap();
    lab.up("acme-1").await.unwrap();
    remove_nodes(&lab, "acme").await;
    assert_ne!(lab.provisioner.release("acme").await.unwrap(), []);
    assert_eq!(lab.provisioner.attach("acme-1").await.unwrap().nodes.len(), 3);
}

#[tokio::test]
async fn a_claim_is_kept_while_its_owner_lives_and_released_when_it_is_dead() {
    let lab = lab();
    lab.up("acme").await.unwrap();
    remove_nodes(&lab, "acme").await;
    let owner = Owner::current("run-1").unwrap();
    let owned = |owner: Owner| {
        lab.provisioner.registry().update("acme", |acme| acme.keeper = Keeper::Run(owner)).unwrap()
    };
    assert!(!owned(owner.clone()).is_abandoned(&lab.house.home));
    let error = lab.provisioner.release("acme").await.unwrap_err();
    assert!(matches!(error, ReleaseError::Needed { pid, .. } if pid == std::process::id()), "{error}");
    assert!(lab.provisioner.registry().find("acme").unwrap().is_some());
    assert!(owned(Owner { start_time: owner.start_time + 1, ..owner }).is_abandoned(&lab.house.home));
    assert_ne!(lab.provisioner.release("acme").await.unwrap(), []);
    lab.assert_empty().await;
}
