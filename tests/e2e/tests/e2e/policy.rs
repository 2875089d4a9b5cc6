//! Network policies mean what Kubernetes says they mean: a table of cases, asked of running pods.
//!
//! Every row is reached before its policy is there and again when it is gone. So a denial is the policy's, and not that
//! of a pod that does not answer or a prober that does not ask.

mod cases;
mod peers;

use std::time::Duration;

use anyhow::{Context, ensure};
use harness::MultiClusterFixture;
use harness::wait::{Wait, until};
use provisioner::slowdown::Slowdown;
use provisioner::spec::{ClusterSpec, CniKind, Topology};

use cases::{CASES, Case, Expected, Row};
use peers::Peers;

/// How long a policy may take until it is in force everywhere.
const IN_FORCE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn every_policy_denies_what_it_must_and_nothing_else_and_leaves_no_trace() -> anyhow::Result<()> {
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
                ensure!(rows.iter().any(|row| row.expected == Expected::Denied), "{name}: nothing is denied");
                acme.apply(policies).await.context(*name)?;
                in_force(&peers, rows).await.context(*name)?;
                peers.delete(policies).await.context(*name)?;
                all_reached(&peers, rows)
                    .await
                    .with_context(|| format!("after the policy is gone: {name}"))?;
            }
            Ok(())
        })
        .await
}

/// Waits until a policy does what its rows say, and then finds the same once more.
async fn in_force(peers: &Peers<'_>, rows: &[Row]) -> anyhow::Result<()> {
    as_expected(peers, rows, |row| row.expected).await?;
    let again = peers.ask(rows).await?;
    let wrong = rows.iter().zip(again).find(|(row, seen)| Some(row.expected) != *seen);
    ensure!(wrong.is_none(), "it did not last: {wrong:?}");
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
