//! Panics, signals and SIGKILL: no cluster of a test is left behind.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use anyhow::ensure;
use camino::Utf8PathBuf;
use futures::FutureExt;
use harness::fixtures::one_client;
use harness::inventory::Inventory;
use harness::wait::{Wait, until};
use provisioner::Provisioner;
use provisioner::dns::Dns;
use provisioner::exec::environment::OURS;
use provisioner::exec::{Background, Command};
use provisioner::home::Home;
use provisioner::registry::{Keeper, RegistryError, State};
use provisioner::request::{ClusterSpec, Topology};
use provisioner::slowdown::Slowdown;

use crate::hostile::hostile;

#[tokio::test]
async fn a_test_that_panics_leaves_evidence_and_no_clusters_and_goes_on_panicking() -> anyhow::Result<()> {
    let provisioner = Provisioner::new(Home::from_env()?)?;
    let before = Inventory::take(&provisioner).await?;
    let folder = tempfile::tempdir()?;
    let evidence = Utf8PathBuf::try_from(folder.path().to_owned())?;
    let test = one_client()
        .evidence_in(&evidence)
        .run(async |_| -> anyhow::Result<()> { panic!("an assertion fails") });
    let panic = AssertUnwindSafe(test).catch_unwind().await.expect_err("the panic must not be swallowed");
    ensure!(
        panic.downcast_ref::<&str>() == Some(&"an assertion fails"),
        "the test panics with another message"
    );
    let holds = |file: &str, text: &str| {
        let found = std::fs::read_to_string(evidence.join(file));
        ensure!(found.as_ref().is_ok_and(|found| found.contains(text)), "{file} without {text:?}: {found:?}");
        Ok(())
    };
    holds("failure.txt", "an assertion fails")?;
    holds("events.jsonl", "ClusterUp")?;
    holds("commands.log", "kubeadm init --config")?;
    let cluster = evidence.read_dir_utf8()?.flatten().find(|entry| entry.path().is_dir());
    let cluster = cluster.map(|entry| entry.file_name().to_owned()).unwrap_or_default();
    holds(&format!("{cluster}/plan.txt"), "192.168.")?;
    holds(&format!("{cluster}/overview.txt"), "coredns")?;
    holds(&format!("{cluster}/{cluster}-main/kubelet.log"), "kubelet")?;
    left_nothing(&provisioner, &before).await
}

#[tokio::test]
async fn leftovers_of_a_killed_test_are_reaped_and_an_operators_cluster_is_not() -> anyhow::Result<()> {
    // Without DNS records: the names of an operator's instance would go into the hosts file of this host.
    let provisioner = Provisioner::new(Home::from_env()?)?.with_dns(Dns::None);
    let before = Inventory::take(&provisioner).await?;
    let spec = ClusterSpec::new("operators").topology(Topology::Single).check()?;
    provisioner.create(&spec, Keeper::Operator).await?;
    let with_the_operators = Inventory::take(&provisioner).await?;
    let outcome = kill_a_fixture(&provisioner, &with_the_operators).await;
    provisioner.destroy("operators").await?;
    outcome?;
    left_nothing(&provisioner, &before).await
}

/// Starts a fixture in another process, kills the process, reaps, and checks that nothing is left.
async fn kill_a_fixture(provisioner: &Provisioner, before: &Inventory) -> anyhow::Result<()> {
    let program =
        Command::within(Duration::MAX, env!("CARGO_BIN_EXE_lingering-fixture")).keeping(OURS.iter().copied());
    let fixture = Background::start(&hostile(&program))?;
    until(
        "the fixture's cluster to run",
        Slowdown::of_host().stretch(Duration::from_secs(120)),
        async || {
            let instances = provisioner.registry().instances()?;
            let running =
                instances.iter().any(|it| it.keeper != Keeper::Operator && it.state == State::Running);
            let states: Vec<String> =
                instances.iter().map(|it| format!("{} {}", it.name, it.state)).collect();
            Ok::<_, RegistryError>(if running { Wait::Done(()) } else { Wait::NotYet(states.join(", ")) })
        },
    )
    .await?;
    drop(fixture); // SIGKILL to its process group
    let left = Inventory::take(provisioner).await?.since(before);
    ensure!(left.is_some(), "the killed fixture left nothing to reap");
    let reaped = until(
        "the dead fixture to be reaped",
        Slowdown::of_host().stretch(Duration::from_secs(30)),
        async || {
            let reaped = provisioner.reap().await?.reaped;
            Ok::<_, provisioner::ReapError>(match reaped.is_empty() {
                true => Wait::NotYet("its process still lives".to_owned()),
                false => Wait::Done(reaped),
            })
        },
    );
    for one in reaped.await? {
        one.outcome?;
    }
    left_nothing(provisioner, before).await
}

async fn left_nothing(provisioner: &Provisioner, before: &Inventory) -> anyhow::Result<()> {
    let left = Inventory::take(provisioner).await?.since(before);
    ensure!(left.is_none(), "the host has changed:\n{}", left.map(|it| it.to_string()).unwrap_or_default());
    Ok(())
}
