//! `up` refuses an instance that exceeds the host's capacity before it creates anything.

use anyhow::ensure;
use harness::inventory::Inventory;
use provisioner::capacity::Demand;
use provisioner::plan::{Pools, Taken};
use provisioner::request::ClusterSpec;

use super::desk::Desk;

use crate::claims::claimed;

const MANY: u8 = 179;

#[tokio::test]
async fn a_cluster_that_does_not_fit_is_refused_with_figures_before_anything_exists() -> anyhow::Result<()> {
    Desk::with(async |desk| {
        let provisioner = desk.provisioner()?;
        promise_all(desk)?;
        let (before, entries) = (Inventory::take(&provisioner).await?, provisioner.registry().instances()?);
        let workers = MANY.to_string();
        let said = desk.refusal(4, &["up", "acme", "--cni", "routed", "--workers", &workers]).await?;
        for part in ["not enough capacity on this host", " are left (", "in use or claimed", "--force"] {
            ensure!(said.contains(part), "the refusal lacks {part:?}:\n{said}");
        }
        let left = Inventory::take(&provisioner).await?.since(&before);
        ensure!(
            left.is_none(),
            "the host has changed:\n{}",
            left.map(|it| it.to_string()).unwrap_or_default()
        );
        ensure!(provisioner.registry().instances()? == entries, "the registry has changed");
        ensure!(!desk.instance("acme").exists(), "the instance has a folder");
        Ok(())
    })
    .await
}

/// Claims instances without nodes until the host has no capacity for a further one, however large the host is.
fn promise_all(desk: &Desk) -> anyhow::Result<()> {
    let (provisioner, many) =
        (desk.provisioner()?, |name: String| ClusterSpec::new(name).workers(MANY).check());
    let each = Demand::of_spec(&many("acme".to_owned())?);
    let mut number = 0;
    while provisioner.room()?.is_some_and(|room| room.fits(each) > 0) {
        let spec = many(format!("promised-{number}"))?;
        number += 1;
        provisioner.registry().claim(|there| {
            let taken = Taken { instances: there.to_vec(), ..Taken::default() };
            claimed(&spec, &taken, &Pools::default())
        })?;
    }
    Ok(())
}
