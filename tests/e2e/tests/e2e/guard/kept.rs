//! Changes of the guard are reported, reverted and recorded.

use anyhow::{Context, ensure};
use provisioner::exec::Local;
use provisioner::fabric::{self, GuardedLink, Restoration};

use super::host::{Host, printed, sh};

/// Changes of the guard, and a part of each report. LINK stands for acme's link.
const CHANGES: [(&str, &str); 21] = [
    ("nft flush ruleset", "nftables has no table inet homelab"),
    ("nft delete table inet homelab", "nftables has no table inet homelab"),
    ("nft flush table inet homelab", "chain prerouting is empty"),
    ("nft flush chain inet homelab forward", "chain forward is empty"),
    ("nft flush chain inet homelab refuse_from", "chain refuse_from is empty"),
    (
        "nft --handle list chain inet homelab input | sed -n 's/.*iifname @links goto.*handle //p' |
            xargs -I{} nft delete rule inet homelab input handle {}",
        "a rule of chain input is missing: the host offers its clients nothing",
    ),
    ("nft insert rule inet homelab input iifname LINK accept", "a rule was added to chain input"),
    ("nft add rule inet homelab forward counter", "a rule was added to chain forward"),
    (
        "nft 'chain inet homelab input { policy drop; }'",
        "chain input was changed: policy is drop, not accept",
    ),
    ("nft 'add table inet homelab { flags dormant; }'", "flags that it was not built with"),
    ("nft 'delete element inet homelab links { vboxnet0 }'", "set links lacks \"vboxnet0\""),
    ("nft 'add element inet homelab links { eth7 }'", "\"eth7\" was added to set links"),
    ("nft 'flush set inet homelab bridges'", "set bridges lacks"),
    ("nft add chain inet homelab more", "chain more was added"),
    (
        "ip route show type unreachable | sed -n '1s/^unreachable \\([^ ]*\\).*/\\1/p' | xargs ip route del unreachable",
        "the unreachable route for ",
    ),
    ("ip route flush type unreachable", "the unreachable route for "),
    ("echo 1 > /proc/sys/net/ipv4/ip_forward", "LINK/forwarding is 1, not 0"),
    ("echo 0 > /proc/sys/net/ipv4/conf/LINK/rp_filter", "LINK/rp_filter is 0, not 1"),
    ("echo 1 > /proc/sys/net/ipv4/conf/LINK/route_localnet", "LINK/route_localnet is 1, not 0"),
    ("echo 0 > /proc/sys/net/ipv6/conf/LINK/disable_ipv6", "ipv6/conf/LINK/disable_ipv6 is 0, not 1"),
    ("rm /run/homelab/guard.json; nft flush ruleset", "nftables has no table inet homelab"),
];

#[tokio::test]
async fn every_change_of_the_guard_is_reported_reverted_and_recorded() -> anyhow::Result<()> {
    let host = Host::wired().await?;
    // A link that a hypervisor named, and a bridge of a client's VMs: the guard is told about both.
    sh("ip link add vboxnet0 type veth peer name there0; ip link add hl-bridge type bridge").await?;
    let told = [GuardedLink::Named("vboxnet0".to_owned()), GuardedLink::Bridge("hl-bridge".to_owned())];
    let pools = host.provisioner.settings().pools.ranges();
    fabric::guard(&pools, &told, &Local).await?;
    let link = host.acme.id.link();
    ensure!(host.deviations().await?.is_empty(), "the guard deviates right after it was built");
    let built = printed(&link).await?;
    for (place, (change, said)) in CHANGES.iter().enumerate() {
        let (change, said) = (change.replace("LINK", &link), said.replace("LINK", &link));
        sh(&change).await?;
        let deviations = host.deviations().await?;
        ensure!(deviations.iter().any(|one| one.contains(&said)), "`{change}`: {deviations:?}");
        let kept = host.provisioner.keep_guard().await.with_context(|| change.clone())?;
        ensure!(matches!(kept, Restoration::Restored { .. }), "`{change}`: {kept:?}");
        let after = printed(&link).await?;
        // Without its record, the guard knows a link with a foreign name only from its own set, and that is gone as
        // well.
        if place + 1 < CHANGES.len() {
            ensure!(after == built, "after `{change}` the guard is\n{after}\nand was\n{built}");
        }
        ensure!(host.deviations().await?.is_empty(), "`{change}` was not reverted");
        ensure!(
            host.provisioner.keep_guard().await? == Restoration::AsBuilt,
            "`{change}`: the guard was restored twice"
        );
        let events = host.events("GuardRestored")?;
        ensure!(events.len() == place + 1, "`{change}`: {} events", events.len());
        let recorded = events.last().context("an event")?;
        ensure!(recorded.instances == ["acme", "globex"], "{recorded:?}");
        let differed = recorded.details.get("deviations").map(ToString::to_string).unwrap_or_default();
        ensure!(differed.contains(&said.replace('"', "\\\"")), "{differed}");
    }
    Ok(())
}

#[tokio::test]
async fn a_setting_for_all_interfaces_is_reported_and_left_alone() -> anyhow::Result<()> {
    let host = Host::wired().await?;
    sh("echo 1 > /proc/sys/net/ipv4/conf/all/proxy_arp").await?;
    let deviations = host.deviations().await?;
    ensure!(
        deviations.iter().any(|one| one.contains("sysctl -w net.ipv4.conf.all.proxy_arp=0")),
        "{deviations:?}"
    );
    ensure!(
        host.provisioner.keep_guard().await? == Restoration::AsBuilt,
        "homelab reverted a setting that is not its own"
    );
    ensure!(sh("cat /proc/sys/net/ipv4/conf/all/proxy_arp").await?.trim() == "1", "the setting was changed");
    Ok(())
}

#[tokio::test]
async fn the_guard_is_removed_with_the_last_link_and_is_then_not_reported_as_missing() -> anyhow::Result<()> {
    let host = Host::wired().await?;
    let cut = async |plan: &provisioner::plan::ClusterPlan| {
        fabric::cut(&plan.id, &Local).await.map_err(|errors| anyhow::anyhow!("{errors:?}"))
    };
    cut(&host.acme).await?;
    ensure!(host.deviations().await?.is_empty(), "the guard deviates although one client is left");
    cut(&host.globex).await?;
    ensure!(
        host.provisioner.keep_guard().await? == Restoration::NotNeeded,
        "the guard is still needed although no client is left"
    );
    ensure!(
        host.provisioner.look_at_guard().await?.is_none(),
        "the guard is still needed although no client is left"
    );
    ensure!(
        sh("nft list tables; ip route show type unreachable").await?.is_empty(),
        "rules or routes are left"
    );
    Ok(())
}
