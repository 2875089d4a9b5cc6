//! The host guard: closes the ways between clients that a Linux host opens by default.
//!
//! `ip_forward=0` is not enough for isolation: by the weak host model, a node that sets a route through its gateway
//! reaches every other address of the host, also the gateways of other clients; and Docker, libvirt and VPNs switch
//! forwarding on. So one static nftables table refuses all packets that come in through a link of ours, except answers,
//! and `routes` keeps packets to the pools on the host. The table matches our links by their prefix, so that it covers
//! each of them from the start. A set has the links that a hypervisor names. The table exists from before the first
//! link until after the last one, across all homes of the host.
//!
//! Where the host also filters bridged frames (br_netfilter, which container runtimes and libvirt's firewalls may
//! load), frames between nodes of one client over a bridge on the host pass this table as if they were forwarded. So a
//! second set has such bridges, each paired with itself: a frame that stays in one bridge passes.
//!
//! Other programs change the host, too: `nft flush ruleset` or a reload of a firewall deletes the table, and Docker
//! resets forwarding. So a file records what the guard was built for (`record`), `look` and `deviation` compare the
//! host with it, and [`keep`] restores the guard. The self-test of the audit opens the guard on purpose: while it holds
//! an [`Opening`], no other process restores or changes the guard.

mod ruleset;
mod record;
mod settings;
mod table;
mod deviation;
mod look;
mod expected;
mod opening;

use std::fs;
use std::time::Duration;

use camino::Utf8Path;
use ipnet::Ipv4Net;

use crate::exec::{self, Command, Runner};
use crate::files::{FileError, Lock, failed};

use super::{FabricError, cable, nameservers, routes};
use record::Record;
use ruleset::{NamedLinks, Reporting, ruleset};

pub use deviation::Deviation;
pub(super) use expected::expected;
pub use expected::{ExpectedGuard, FoundGuard};
pub use look::Inspection;
#[cfg(feature = "fuzzing")]
pub use look::read_nft;
pub(super) use look::{has_closed_settings, look, refused_packets};
pub use opening::Opening;
pub use ruleset::{GuardedLink, LOG_GROUP};

pub(super) use ruleset::LINK_PREFIX;
pub(super) use settings::write as write_settings;

/// The folder of the locks and of the record.
const FOLDER: &str = "/run/homelab";
/// The lock file of the guard. A process holds the lock during a change of the guard.
const LOCK: &str = "/run/homelab/guard.lock";

/// The result of [`keep_guard`](crate::fabric::keep_guard).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Restoration {
    /// The host has no link of ours, so no guard is needed.
    NotNeeded,
    /// The guard is as it was built.
    AsBuilt,
    /// The guard differed, and was restored.
    Restored {
        /// The differences before the restoration.
        deviations: Vec<Deviation>,
    },
    /// The audit's self-test has opened the guard on purpose, and will restore it.
    Opened {
        /// The pid of the self-test; `None` if it cannot be read.
        by: Option<u32>,
    },
}

fn nft(script: impl Into<Vec<u8>>) -> Command {
    Command::within(Duration::from_secs(20), "nft").args(["--file", "-"]).input(script)
}

/// The guard's lock: only its holder changes the guard. The kernel frees the lock when its holder ends.
#[derive(Debug)]
pub(super) struct Held {
    _changes: Lock,
    /// Processes that change the guard share this lock. A self-test that opens the guard holds the lock exclusively.
    _closed: Lock,
}

/// Waits until no other process changes the guard or holds it open, and takes the guard's lock.
pub(super) async fn lock() -> Result<Held, FabricError> {
    let closed = opening::wait_until_closed().await?;
    Ok(Held { _changes: hold(LOCK).await?, _closed: closed })
}

/// Waits for an exclusive lock. The kernel frees the lock when its holder ends.
pub(super) async fn hold(path: &'static str) -> Result<Lock, FabricError> {
    locked(path, Lock::of_file).await
}

async fn locked(
    path: &'static str,
    take: fn(&Utf8Path) -> Result<Lock, FileError>,
) -> Result<Lock, FabricError> {
    Ok(Lock::waited_for(in_folder(path)?.to_owned(), take).await?)
}

/// The path of a lock file, after its folder was made.
fn in_folder(path: &str) -> Result<&Utf8Path, FabricError> {
    fs::create_dir_all(FOLDER).map_err(failed("make", Utf8Path::new(FOLDER)))?;
    Ok(Utf8Path::new(path))
}

/// Sets rules and routes for these pools and links, in addition to those on record. The caller holds the lock. May be
/// repeated.
pub(super) async fn raise(
    pools: &[Ipv4Net],
    links: &[GuardedLink],
    runner: &dyn Runner,
) -> Result<(), FabricError> {
    let mut record = look::record(pools, runner).await?.unwrap_or_default();
    record.pools.extend(pools);
    links.iter().for_each(|link| record.told.add(link));
    record.write()?;
    set(&record, runner).await
}

/// Records a link, and sets its kernel settings to the closed values. The caller holds the lock.
///
/// # Errors
/// [`FabricError::Sysctl`], also when the host has no such link.
pub(super) fn close(link: &str) -> Result<(), FabricError> {
    let mut record = Record::read()?.unwrap_or_default();
    if record.closed.insert(link.to_owned()) {
        record.write()?;
    }
    settings::close(link)
}

/// Removes rules, routes and record if the host has no link left that the guard covers. Otherwise it removes the links
/// that are gone from the rules and the record, since their names may be used by another program next. The caller holds
/// the lock.
pub(super) async fn lower_behind_the_last(runner: &dyn Runner) -> Result<(), FabricError> {
    let all = cable::link_names().await?;
    let record = look::record(&[], runner).await?.unwrap_or_default();
    let left = record.still_in(&all);
    if !left.told.named.is_empty() || all.iter().any(|link| link.starts_with(LINK_PREFIX)) {
        if left != record {
            left.write()?;
        }
        if left.told != record.told {
            load(&left, runner).await?;
        }
        return Ok(());
    }
    // `table` before `delete table` makes the deletion succeed also where the table does not exist.
    let gone = "table inet homelab\ndelete table inet homelab\n";
    runner.run(&nft(gone)).await.map_err(FabricError::Guard)?;
    routes::clear().await?;
    Record::remove()
}

/// Compares the guard with what was built, and restores it if it differs. `pools` are those of the caller's home; they
/// are used if no record exists.
///
/// # Errors
/// [`FabricError`] when the guard cannot be read or restored; [`FabricError::NotKept`] when it still differs.
pub(super) async fn keep(pools: &[Ipv4Net], runner: &dyn Runner) -> Result<Restoration, FabricError> {
    // The first check takes no lock: the guard is nearly always as built, and no process has to wait.
    match look(pools, runner).await? {
        None => return Ok(Restoration::NotNeeded),
        Some(seen) if seen.is_as_built() => return Ok(Restoration::AsBuilt),
        Some(_) => {}
    }
    let closed = match opening::closed_now()? {
        opening::Now::Closed(closed) => closed,
        opening::Now::Opened { by } => return Ok(Restoration::Opened { by }),
    };
    let _lock = Held { _changes: hold(LOCK).await?, _closed: closed };
    let Some(seen) = look(pools, runner).await? else { return Ok(Restoration::NotNeeded) };
    if seen.is_as_built() {
        return Ok(Restoration::AsBuilt); // another process was changing it, and has finished
    }
    put_back(pools, runner).await?;
    let ours = |seen: Inspection| seen.ours().cloned().collect::<Vec<_>>();
    match look(pools, runner).await?.map(ours) {
        Some(deviations) if !deviations.is_empty() => Err(FabricError::NotKept { deviations }),
        _ => Ok(Restoration::Restored { deviations: ours(seen) }),
    }
}

/// Builds the guard again by its record: rules, routes and settings. Does nothing if the host has no link of ours. The
/// caller holds the lock.
async fn put_back(pools: &[Ipv4Net], runner: &dyn Runner) -> Result<(), FabricError> {
    let Some(record) = look::record(pools, runner).await? else { return Ok(()) };
    record.write()?;
    set(&record, runner).await?;
    settings::close_all(&record.closed)
}

/// Sets the rules and routes of a record.
async fn set(record: &Record, runner: &dyn Runner) -> Result<(), FabricError> {
    load(record, runner).await?;
    let pools: Vec<Ipv4Net> = record.pools.iter().copied().collect();
    routes::set(&pools, &nameservers::of_host()?).await
}

/// Loads the rules of a record.
async fn load(record: &Record, runner: &dyn Runner) -> Result<(), FabricError> {
    with_ruleset(&record.told, nft, runner).await.map(drop)
}

/// Runs a command with the rules that report refused packets. If that fails, it runs the command with the rules that
/// only count them, for kernels without nfnetlink_log. If both fail, the error is the first one.
async fn with_ruleset(
    told: &NamedLinks,
    command: impl Fn(String) -> Command,
    runner: &dyn Runner,
) -> Result<exec::Output, FabricError> {
    match runner.run(&command(ruleset(told, Reporting::Logged))).await {
        Ok(output) => Ok(output),
        Err(refused) => {
            let counted = runner.run(&command(ruleset(told, Reporting::Counted))).await;
            counted.map_err(|_| FabricError::Guard(refused))
        }
    }
}
