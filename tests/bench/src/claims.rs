//! The duration of claims in one home by many processes at once.
//!
//! Each process runs this program as `bench claimant HOME NUMBER CLAIMS`.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use camino::Utf8Path;
use futures::future::try_join_all;
use provisioner::exec::{Command, Local, Runner};
use provisioner::home::Home;
use provisioner::plan::{self, Taken};
use provisioner::registry::{Keeper, Operation, OperationKind, Owner, Registry};
use provisioner::request::ClusterSpec;
use unit::vast_pools;

use crate::report::Figure;

const PROCESSES: usize = 100;
const CLAIMS: usize = 10;

/// Starts 100 processes, which claim ten instances each and end.
pub(crate) async fn measure() -> anyhow::Result<Figure> {
    let folder = tempfile::tempdir()?;
    let root = Utf8Path::from_path(folder.path()).context("a path of UTF-8")?.join("home");
    let program = std::env::current_exe()?.into_os_string().into_string().ok().context("a path of UTF-8")?;
    let claimant = |number: usize| {
        Command::within(Duration::from_secs(600), &program).args([
            "claimant",
            root.as_str(),
            &number.to_string(),
            &CLAIMS.to_string(),
        ])
    };
    let commands: Vec<Command> = (0..PROCESSES).map(claimant).collect();
    let started = Instant::now();
    try_join_all(commands.iter().map(|command| Local.run(command))).await?;
    let took = started.elapsed();
    let instances = Registry::in_home(&Home::at(root)).instances()?;
    ensure!(instances.len() == PROCESSES * CLAIMS, "{} instances are recorded", instances.len());
    Ok(Figure {
        name: "1000 claims from 100 processes, their start included".to_owned(),
        rounds: 1,
        budget: 5.0,
        median: took.as_secs_f64(),
        worst: took.as_secs_f64(),
    })
}

/// The program of one of the processes.
pub(crate) fn claimant(home: &str, number: &str, claims: usize) -> anyhow::Result<()> {
    let (registry, pools) = (Registry::in_home(&Home::at(home)), vast_pools());
    for i in 0..claims {
        let spec = ClusterSpec::new(format!("c{number}-{i}")).check()?;
        let creation = Operation::begin(OperationKind::Create, Owner::current(number)?);
        registry.claim(|there| {
            let taken = Taken { instances: there.to_vec(), ..Taken::default() };
            plan::claim(&spec, &taken, &pools, Keeper::Operator, creation)
        })?;
    }
    Ok(())
}
