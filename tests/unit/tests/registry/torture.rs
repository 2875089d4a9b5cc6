//! A hundred processes claim and release instances at once, and a third of them is killed in the middle of an
//! operation.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, RandomState};
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};

use anyhow::{Context, ensure};
use ipnet::Ipv4Net;
use unit::Choices;

use super::*;

const PROCESSES: usize = 100;
const OPERATIONS: usize = 10;

/// The output of a process, and its exit status.
#[derive(Debug)]
struct Log {
    doomed: bool,
    lines: Vec<String>,
    status: ExitStatus,
}

/// The expected state of a name after all processes have ended.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Fate {
    /// It was claimed, with these networks, and no release of it began.
    There(Vec<Ipv4Net>),
    /// Its claim or its release had begun when its process was killed: both states are right.
    Either,
    /// It was released.
    Gone,
}

#[test]
fn a_hundred_processes_and_sigkill_never_lose_double_or_damage_an_entry() {
    // TORTURE_SEED repeats the choices of an earlier run, but not the kernel's scheduling.
    let seed = std::env::var("TORTURE_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| RandomState::new().hash_one("torture"));
    torture(seed).with_context(|| format!("TORTURE_SEED={seed}")).unwrap();
}

fn torture(seed: u64) -> anyhow::Result<()> {
    let house = House::new();
    let logs = run(&house, seed)?;
    let registry = Registry::in_home(&house.home);
    let instances = registry.instances()?;
    no_two_overlap(&instances)?;

    let mut fates = BTreeMap::new();
    for log in &logs {
        // A doomed process may end before it is killed.
        ensure!(log.status.success() || (log.doomed && log.status.signal() == Some(9)), "{log:?}");
        read_fates(log, &mut fates)?;
    }
    for instance in &instances {
        let fate =
            fates.get(&instance.name).with_context(|| format!("no process claimed {}", instance.name))?;
        match fate {
            Fate::There(nets) => ensure!(instance.networks()[..] == nets[..], "{instance:?} is not {nets:?}"),
            Fate::Either => {}
            Fate::Gone => anyhow::bail!("{} was released but still exists", instance.name),
        }
    }
    let there: BTreeSet<&String> = instances.iter().map(|instance| &instance.name).collect();
    for (name, fate) in &fates {
        ensure!(!matches!(fate, Fate::There(_)) || there.contains(name), "{name} was claimed but is lost");
    }

    // The test is effective: processes were killed during operations, also while the ledger was locked for a write.
    let cut = |verb: &str| logs.iter().filter(|log| last_verb(log) == verb).count();
    ensure!(cut("decide") > 0, "no process was killed while it held the lock");
    ensure!(cut("claim") + cut("release") > 0, "no process was killed while it waited");
    ensure!(
        fates.values().any(|fate| matches!(fate, Fate::There(_)))
            && fates.values().any(|fate| *fate == Fate::Gone)
    );

    claim(&registry, "one-more").context("the next change after the kills")?;
    let left = std::fs::read_dir(house.home.root())?.count();
    ensure!(left == 3, "{left} files in the home, not only the ledger, its lock and the id");
    Ok(())
}

/// Starts all processes, lets them begin at once, and kills every third one in the middle of an operation, after a
/// random number of lines.
fn run(house: &House, seed: u64) -> anyhow::Result<Vec<Log>> {
    let mut choices = Choices::of(seed);
    let mut numbers: Vec<usize> = (0..PROCESSES).collect();
    for place in (1..PROCESSES).rev() {
        numbers.swap(place, choices.below(place + 1));
    }
    let mut started = Vec::new();
    for (place, number) in numbers.into_iter().enumerate() {
        // An operation has at least two lines, so this number of lines is always reached.
        let end = (place < PROCESSES / 3).then(|| choices.below(2 * OPERATIONS - 1));
        let seed = choices.below(usize::MAX);
        started.push((end, start(house, number, seed)?));
    }
    let (gates, watched): (Vec<ChildStdin>, Vec<_>) = started
        .into_iter()
        .map(|(end, mut child)| (child.stdin.take().expect("stdin is a pipe"), (end, child)))
        .unzip();
    std::thread::scope(|scope| {
        let watchers: Vec<_> =
            watched.into_iter().map(|(end, child)| scope.spawn(move || watch(child, end))).collect();
        drop(gates);
        watchers.into_iter().map(|watcher| watcher.join().expect("a watcher does not panic")).collect()
    })
}

#[expect(
    clippy::disallowed_methods,
    reason = "the test kills the process while it runs, which no runner can"
)]
fn start(house: &House, number: usize, seed: usize) -> anyhow::Result<Child> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_claimant"));
    command.arg(house.home.root()).args([number, seed, OPERATIONS].map(|argument| argument.to_string()));
    Ok(command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?)
}

fn watch(mut child: Child, end: Option<usize>) -> anyhow::Result<Log> {
    let stdout = child.stdout.take().context("stdout is a pipe")?;
    let mut lines: Vec<String> = Vec::new();
    let mut killed = false;
    for line in BufReader::new(stdout).lines() {
        lines.push(line?);
        let done =
            lines.last().is_some_and(|line| line.starts_with("claimed") || line.starts_with("released"));
        if !killed && !done && end.is_some_and(|end| lines.len() > end) {
            child.kill()?;
            killed = true;
        }
    }
    Ok(Log { doomed: end.is_some(), lines, status: child.wait()? })
}

fn last_verb(log: &Log) -> &str {
    log.lines.last().and_then(|line| line.split(' ').next()).unwrap_or_default()
}

fn read_fates(log: &Log, fates: &mut BTreeMap<String, Fate>) -> anyhow::Result<()> {
    for line in &log.lines {
        let words: Vec<&str> = line.split(' ').collect();
        let (name, fate) = match words[..] {
            ["claim" | "decide" | "release", name] => (name, Fate::Either),
            ["claimed", name, ref nets @ ..] => {
                let nets: Result<Vec<Ipv4Net>, _> = nets.iter().map(|text| text.parse()).collect();
                (name, Fate::There(nets?))
            }
            ["released", name] => (name, Fate::Gone),
            _ => anyhow::bail!("not a claimant's line: {line}"),
        };
        fates.insert(name.to_owned(), fate);
    }
    Ok(())
}

/// Checks that no two networks overlap. In a sorted list it suffices to compare neighbours.
fn no_two_overlap(instances: &[Instance]) -> anyhow::Result<()> {
    let mut all: Vec<(Ipv4Net, &str)> = instances
        .iter()
        .flat_map(|instance| instance.networks().into_iter().map(|net| (net, instance.name.as_str())))
        .collect();
    all.sort_unstable();
    for pair in all.windows(2) {
        let [(a, of_a), (b, of_b)] = pair else { continue };
        ensure!(!a.contains(b) && !b.contains(a), "instance {of_a} ({a}) overlaps {of_b} ({b})");
    }
    Ok(())
}
