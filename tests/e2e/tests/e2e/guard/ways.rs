//! Routes of other programs: those as wide as a default route do not block a pool, and the others are named in the
//! error.

use anyhow::{Context, ensure};
use provisioner::error::Hint;
use provisioner::plan::{PlanError, Taken};
use provisioner::registry::Instance;
use provisioner::request::ClusterSpec;

use super::host::{Host, sh};
use crate::claims::claimed;

async fn claim(host: &Host, name: &str) -> anyhow::Result<Result<Instance, PlanError>> {
    let spec = ClusterSpec::new(name).check()?;
    let taken = Taken {
        instances: host.provisioner.registry().instances()?,
        neighbours: Vec::new(),
        host: host.provisioner.host_networks().await?,
    };
    Ok(claimed(&spec, &taken, &host.provisioner.settings().pools))
}

#[tokio::test]
async fn a_vpn_that_takes_the_whole_address_space_in_pieces_leaves_room_for_clients() -> anyhow::Result<()> {
    let host = Host::wired().await?;
    sh("ip link add tun0 type veth peer name office; ip link set tun0 up; ip link set office up
        ip address add 10.8.0.6 peer 10.8.0.5/32 dev tun0")
    .await?;
    for ways in [
        &["0.0.0.0/1", "128.0.0.0/1"][..], // OpenVPN's redirect-gateway
        &["0.0.0.0/2", "64.0.0.0/2", "128.0.0.0/2", "192.0.0.0/2"],
        &["10.0.0.0/8", "192.168.0.0/16"], // an office that claims all private networks
        &["192.0.0.0/8", "8.0.0.0/5"],
    ] {
        for way in ways {
            sh(&format!("ip route add {way} via 10.8.0.5 dev tun0")).await?;
        }
        let next = claim(&host, "next").await?.with_context(|| format!("{ways:?}"))?;
        ensure!(next.subnet == "192.168.62.0/24".parse()?, "{}", next.subnet);
        for way in ways {
            sh(&format!("ip route del {way} via 10.8.0.5 dev tun0")).await?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_route_or_address_in_a_pool_is_named_with_its_interface_and_the_setting_that_moves_the_pool()
-> anyhow::Result<()> {
    let host = Host::wired().await?;
    sh("ip link add tun0 type veth peer name office; ip link set tun0 up; ip link set office up").await?;
    for (change, back) in [
        ("ip route add 192.168.48.0/20 dev tun0", "ip route del 192.168.48.0/20 dev tun0"),
        ("ip address add 192.168.1.7/16 dev tun0", "ip address del 192.168.1.7/16 dev tun0"),
    ] {
        sh(change).await?;
        let error = claim(&host, "next")
            .await?
            .err()
            .with_context(|| format!("`{change}` does not block the pool"))?;
        ensure!(error.to_string().contains("(tun0)"), "{error}");
        let hint = error.hint().context("a hint")?;
        ensure!(hint.contains("`pools: { subnet: { range: 1"), "{hint}");
        sh(back).await?;
    }
    Ok(())
}
