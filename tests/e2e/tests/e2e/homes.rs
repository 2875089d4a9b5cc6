//! One cluster under several names: its home spelled otherwise, its owner in another PID namespace, its folder under
//! another home's id.

use anyhow::ensure;
use harness::inventory::Inventory;
use provisioner::registry::{Keeper, Owner};

use crate::operator::desk::Desk;

/// The program as in a container that shares the home: with a PID namespace and a `/proc` of its own.
const IN_A_CONTAINER: [&str; 3] = ["--pid", "--fork", "--mount-proc"];

#[tokio::test]
async fn a_cluster_survives_whoever_takes_it_for_something_else() -> anyhow::Result<()> {
    Desk::with(async |desk| {
        let provisioner = desk.provisioner()?;
        let before = Inventory::take(&provisioner).await?;
        desk.homelab(&["up", "acme", "--topology", "k8s-single", "--cni", "routed"]).await?;
        let running = Inventory::take(&provisioner).await?;
        ensure!(running.since(&before).is_some(), "nothing is there that could survive");

        reap_elsewhere(desk).await?;
        another_id(desk).await?;
        let changed = Inventory::take(&provisioner).await?.left_since(&running);
        ensure!(changed.is_empty(), "the host has changed: {changed:?}");

        let said = desk.homelab_in(&format!("{}/instances/../", desk.home()), &["down", "acme"]).await?;
        ensure!(said.contains("nodes and networks") || said.contains("container homelab-"), "{said}");
        let left = Inventory::take(&provisioner).await?.left_since(&before);
        ensure!(left.is_empty(), "down under another spelling leaves: {left:?}");
        Ok(())
    })
    .await
}

/// This process needs the cluster. A container does not see it in its `/proc`, and finds its lock.
async fn reap_elsewhere(desk: &Desk) -> anyhow::Result<()> {
    let provisioner = desk.provisioner()?;
    let owner = Owner::hold(provisioner.home(), "e2e")?;
    let keep = |keeper| provisioner.registry().update("acme", |acme| acme.keeper = keeper);
    keep(Keeper::Run(owner.clone()))?;
    let said = desk.homelab_below("unshare", &IN_A_CONTAINER, &["reap"]).await?;
    ensure!(said.contains("nothing to reap"), "{said}");
    // As from a home whose file of locks somebody has removed.
    keep(Keeper::Run(Owner { lock: None, ..owner }))?;
    let said = desk.homelab_below("unshare", &IN_A_CONTAINER, &["reap"]).await?;
    ensure!(
        said.contains("acme is left alone: it is unknown whether its owner")
            && said.contains("homelab down acme"),
        "{said}"
    );
    let refused = desk.refusal(6, &["down", "acme"]).await?;
    ensure!(refused.contains(&format!("process {} is running and needs", std::process::id())), "{refused}");
    keep(Keeper::Operator)?;
    Ok(())
}

/// Under another id the home knows nothing of its own containers, and still does not delete what they run on.
async fn another_id(desk: &Desk) -> anyhow::Result<()> {
    let file = desk.home().join("home-id");
    let kept = std::fs::read_to_string(&file)?;
    std::fs::write(&file, "ffffff\n")?;
    let refused = desk.refusal(6, &["down", "acme"]).await;
    std::fs::write(&file, kept)?;
    let refused = refused?;
    ensure!(
        refused.contains("is used by container homelab-") && refused.contains(".acme.acme-main"),
        "{refused}"
    );
    let nodes = desk.homelab(&["kubectl", "acme", "--", "get", "nodes"]).await?;
    ensure!(nodes.contains("acme-main"), "{nodes}");
    Ok(())
}
