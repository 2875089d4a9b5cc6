//! Network policies work as Kubernetes defines them: a table of cases, probed between running pods.
//!
//! Every row's connection succeeds before its policy is applied and after it is deleted. So a denial comes from the
//! policy, and not from a pod that does not answer or a prober that does not run.

mod cases;
mod peers;

use std::time::Duration;

use anyhow::{Context, ensure};
use harness::MultiClusterFixture;
use harness::wait::{Wait, until};
use provisioner::request::{ClusterSpec, CniKind, Topology};
use provisioner::slowdown::Slowdown;

use cases::{CASES, Case, Expected, Row};
use peers::Peers;

/// How long a policy may take to take effect on all nodes.
const IN_FORCE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn every_policy_denies_the_listed_traffic_and_nothing_else_until_it_is_deleted() -> anyhow::Result<()> {
    let acme = ClusterSpec::new("acme").topology(Topology::Multi).workers(1).cni(CniKind::Cilium);
    MultiClusterFixture::builder()
        .cluster(acme)
        .run(async |fx| {
            let acme = fx.cluster("acme");
            let peers = Peers::settle(acme).await?;
            let all: Vec<Row> = CASES.iter().flat_map(|case| case.rows.to_vec()).collect();
            all_reached(&peers, &all).await.context("before any policy")?;
            for case in CASES {
                let Case { name, policies, rows } = case;
                ensure!(rows.iter().any(|row| row.expected == Expected::Denied), "{name}: no row is denied");
                acme.apply(policies).await.context(*name)?;
                in_force(&peers, rows).await.context(*name)?;
                peers.delete(policies).await.context(*name)?;
                all_reached(&peers, rows)
                    .await
                    .with_context(|| format!("after the policy was deleted: {name}"))?;
            }
            Ok(())
        })
        .await
}

/// Waits until a policy's rows are as expected, then checks them once more.
async fn in_force(peers: &Peers<'_>, rows: &[Row]) -> anyhow::Result<()> {
    as_expected(peers, rows, |row| row.expected).await?;
    let again = peers.ask(rows).await?;
    let wrong = rows.iter().zip(again).find(|(row, seen)| Some(row.expected) != *seen);
    ensure!(wrong.is_none(), "the rows changed again: {wrong:?}");
    Ok(())
}

async fn all_reached(peers: &Peers<'_>, rows: &[Row]) -> anyhow::Result<()> {
    as_expected(peers, rows, |_| Expected::Allowed).await
}

async fn as_expected(
    peers: &Peers<'_>,
    rows: &[Row],
    expected: impl Fn(&Row) -> Expected,
) -> anyhow::Result<()> {
    let what = "every row to be as expected";
    until(what, Slowdown::of_host().stretch(IN_FORCE), async || {
        let seen = peers.ask(rows).await.map_err(std::io::Error::other)?;
        let wrong: Vec<String> = rows
            .iter()
            .zip(seen)
            .filter(|(row, seen)| Some(expected(row)) != *seen)
            .map(|(row, seen)| format!("{} to {} {:?} is {seen:?}", row.from, row.to, row.port))
            .collect();
        Ok::<_, std::io::Error>(if wrong.is_empty() {
            Wait::Done(())
        } else {
            Wait::NotYet(wrong.join("; "))
        })
    })
    .await
    .map_err(anyhow::Error::from)
}
