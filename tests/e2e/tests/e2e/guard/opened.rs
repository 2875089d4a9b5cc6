//! A self-test opens the guard on purpose. The guard stays open until the self-test closes it or its process ends.

use anyhow::ensure;
use provisioner::exec::Local;
use provisioner::fabric::{Opening, Restoration};

use super::host::{Host, printed, sh};

#[tokio::test]
async fn a_guard_that_is_open_on_purpose_stays_open_until_it_is_closed() -> anyhow::Result<()> {
    let host = Host::wired().await?;
    let link = host.acme.id.link();
    let built = printed(&link).await?;
    let opening = Opening::begin().await?;
    opening.change(&format!("insert rule inet homelab input iifname \"{link}\" accept\n"), &Local).await?;
    sh(&format!("echo 1 > /proc/sys/net/ipv4/conf/{link}/proxy_arp")).await?;
    let open = printed(&link).await?;
    let by = Some(std::process::id());
    ensure!(
        host.provisioner.keep_guard().await? == Restoration::Opened { by },
        "the guard was restored while it is open on purpose"
    );
    ensure!(printed(&link).await? == open, "the guard was restored");
    // The deviations are still reported.
    ensure!(host.deviations().await?.len() == 2, "{:?}", host.deviations().await?);
    opening.close(&host.provisioner.settings().pools.ranges(), &Local).await?;
    ensure!(printed(&link).await? == built, "the closed guard differs from the built one");
    drop(opening);
    ensure!(host.provisioner.keep_guard().await? == Restoration::AsBuilt, "the guard is not as it was built");
    ensure!(host.events("GuardRestored")?.is_empty(), "a restoration was recorded");
    Ok(())
}

#[tokio::test]
async fn a_guard_that_a_killed_self_test_left_open_is_restored() -> anyhow::Result<()> {
    let host = Host::wired().await?;
    let opening = Opening::begin().await?;
    opening.change("flush chain inet homelab prerouting\n", &Local).await?;
    drop(opening); // the kernel frees its lock, as it does when its process is killed
    ensure!(
        matches!(host.provisioner.keep_guard().await?, Restoration::Restored { .. }),
        "the guard stayed open"
    );
    ensure!(host.deviations().await?.is_empty(), "the guard was not restored");
    Ok(())
}
