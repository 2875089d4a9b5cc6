//! One of many processes that claim and release instances in the same home, for tests that kill some of the processes.
//!
//! `claimant HOME NUMBER SEED OPERATIONS` begins when its standard input ends. For each operation it writes a line to
//! standard output before the operation and one after it, and for a claim also one while it holds the lock:
//!
//! ```text
//! claim NAME · decide NAME · claimed NAME SUBNET PODS SERVICES
//! release NAME · released NAME
//! ```

use std::io::{self, Write};

use anyhow::Context;
use provisioner::home::Home;
use provisioner::plan::{self, Taken};
use provisioner::registry::{Keeper, Operation, OperationKind, Owner, Registry};
use provisioner::request::ClusterSpec;
use unit::{Choices, vast_pools};

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, home, number, seed, operations] = &arguments[..] else {
        anyhow::bail!("claimant HOME NUMBER SEED OPERATIONS");
    };
    let registry = Registry::in_home(&Home::at(home.as_str()));
    let mut choices = Choices::of(seed.parse().context("SEED")?);
    io::copy(&mut io::stdin(), &mut io::sink())?;
    let mut mine: Vec<String> = Vec::new();
    for i in 0..operations.parse().context("OPERATIONS")? {
        if mine.is_empty() || choices.below(5) < 3 {
            let name = format!("c{number}-{i}");
            claim(&registry, &name)?;
            mine.push(name);
        } else {
            let name = mine.swap_remove(choices.below(mine.len()));
            say(&format!("release {name}"))?;
            registry.release(&name)?.with_context(|| format!("{name} is lost"))?;
            say(&format!("released {name}"))?;
        }
    }
    Ok(())
}

fn claim(registry: &Registry, name: &str) -> anyhow::Result<()> {
    let (spec, pools) = (ClusterSpec::new(name).check()?, vast_pools());
    say(&format!("claim {name}"))?;
    let owner = Owner::current(name)?;
    let creation = Operation::begin(OperationKind::Create, owner);
    let claimed = registry.claim(|there| {
        let said = say(&format!("decide {name}"));
        said.expect("the reader of the standard output reads to its end");
        let taken = Taken { instances: there.to_vec(), ..Taken::default() };
        plan::claim(&spec, &taken, &pools, Keeper::Operator, creation)
    })?;
    let networks: Vec<String> = claimed.networks().iter().map(ToString::to_string).collect();
    Ok(say(&format!("claimed {name} {}", networks.join(" ")))?)
}

/// Writes a line, and flushes it before the process continues.
fn say(line: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{line}")?;
    stdout.flush()
}
