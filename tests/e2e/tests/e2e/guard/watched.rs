//! `homelab watch`: the guard is restored while it is watched, and refused packets are recorded.

use std::time::Duration;

use anyhow::{Context, ensure};
use harness::wait::{Wait, until};
use provisioner::events::Record;
use provisioner::slowdown::Slowdown;
use provisioner::watch::{Watch, WatchError};

use super::host::{Host, printed, sh};

/// Runs `work` on a watched host. Fails if the watch reports a failure.
async fn watched(host: &Host, work: impl AsyncFnOnce() -> anyhow::Result<()>) -> anyhow::Result<()> {
    let mut watch = Watch::begin(host.provisioner.clone())?;
    let mut failures = Vec::new();
    let mut say = |said: provisioner::watch::Notice<'_>| {
        if let provisioner::watch::Notice::Failed(error) = said {
            failures.push(provisioner::error::chain(error));
        }
    };
    let worked = tokio::select! {
        () = watch.run(&mut say) => anyhow::bail!("the watch ended"),
        worked = work() => worked,
    };
    ensure!(failures.is_empty(), "{failures:?}");
    worked
}

async fn wait_for(what: &str, mut there: impl AsyncFnMut() -> anyhow::Result<bool>) -> anyhow::Result<()> {
    let poll = until(what.to_owned(), Slowdown::of_host().stretch(Duration::from_secs(30)), async || {
        Ok::<_, std::io::Error>(match there().await {
            Ok(true) => Wait::Done(()),
            Ok(false) => Wait::NotYet("not yet".to_owned()),
            Err(error) => Wait::NotYet(format!("{error:#}")),
        })
    });
    Ok(poll.await?)
}

#[tokio::test]
async fn every_change_is_reverted_while_the_host_is_watched() -> anyhow::Result<()> {
    let host = Host::wired().await?;
    let link = host.acme.id.link();
    let built = printed(&link).await?;
    watched(&host, async || {
        let changes = [
            "nft flush ruleset".to_owned(),
            "ip route flush type unreachable".to_owned(),
            "echo 1 > /proc/sys/net/ipv4/ip_forward".to_owned(),
            format!("echo 0 > /proc/sys/net/ipv4/conf/{link}/arp_ignore"), // the kernel reports no change of this one
        ];
        for (place, change) in changes.iter().enumerate() {
            sh(change).await?;
            wait_for(&format!("a guard as it was built, after `{change}`"), async || {
                Ok(host.events("GuardRestored")?.len() == place + 1 && printed(&link).await? == built)
            })
            .await?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_refused_packet_is_recorded_with_sender_and_target_and_a_flood_is_a_few_events()
-> anyhow::Result<()> {
    let host = Host::wired().await?;
    let (node, other) = (host.acme.nodes[0].address, host.globex.nodes[0].address);
    let refused = |port: u64| -> anyhow::Result<Option<Record>> {
        let all = host.events("CrossingRefused")?;
        let is_it = |record: &Record| record.details.get("port").and_then(|it| it.as_u64()) == Some(port);
        Ok(all.into_iter().find(is_it))
    };
    watched(&host, async || {
        host.on_acme(&format!("echo x > /dev/udp/{other}/7001")).await?;
        wait_for("an event", async || Ok(refused(7001)?.is_some())).await?;
        let record = refused(7001)?.context("an event")?;
        let said =
            |key: &str| record.details.get(key).and_then(|it| it.as_str()).unwrap_or_default().to_owned();
        ensure!(record.instances == ["acme"], "{record:?}");
        let told = (said("link"), said("from"), said("sender"), said("to"), said("target"), said("protocol"));
        let expected = (
            host.acme.id.link(),
            node.to_string(),
            format!("node {}", host.acme.nodes[0].name),
            other.to_string(),
            format!("node {}", host.globex.nodes[0].name),
            "udp".to_owned(),
        );
        ensure!(told == expected, "{told:?}");
        // Also to the host itself, by TCP.
        let gateway = host.acme.gateway;
        host.on_acme(&format!("timeout 0.2 bash -c 'echo x > /dev/tcp/{gateway}/22' || true")).await?;
        wait_for("an event of TCP", async || Ok(refused(22)?.is_some())).await?;
        // A scan of a thousand ports. The last packet is of a kind that was recorded already.
        let before = host.events("CrossingRefused")?.len();
        host.on_acme(&format!("for port in {{10000..11000}}; do echo x > /dev/udp/{other}/$port; done"))
            .await?;
        wait_for("the event budget to be used up", async || Ok(host.events("CrossingRefused")?.len() >= 20))
            .await?;
        let after = host.events("CrossingRefused")?.len();
        ensure!(after - before <= 20, "{before} events became {after}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_second_watch_is_refused_with_the_pid_of_the_first() -> anyhow::Result<()> {
    let host = Host::wired().await?;
    watched(&host, async || {
        let second = Watch::begin(host.provisioner.clone());
        let error = second.err().context("a second watch began")?;
        let by_this = matches!(error, WatchError::Watched { pid } if pid == Some(std::process::id()));
        ensure!(by_this, "{error}");
        Ok(())
    })
    .await
}
