//! The host guard: what closes the ways between clients that a Linux host opens by default.
//!
//! `ip_forward=0` is no isolation: with the weak host model a node that sets a route through its gateway reaches every
//! other address of the host, the other clients' gateways included, and Docker, libvirt and VPNs switch forwarding on
//! behind our back. So one static nftables table refuses whatever comes in through a link of ours and is not an answer,
//! and `routes` keeps addresses of the pools from ever leaving. The table names our links by their prefix, so that no
//! link can be forgotten in it. Links that a hypervisor names are in a set beside it. The table stands from before the
//! first link until after the last one, across all homes of the host.
//!
//! Where the host filters bridged frames too (br_netfilter, as container runtimes and libvirt's firewalls like to have
//! it), what goes from node to node of one client over a bridge on the host comes by here as if it were forwarded. So
//! such bridges are in a second set, with themselves: what stays in one passes.
//!
//! Others change the host as well: `nft flush ruleset` takes the table away, a reload of a firewall does, and Docker
//! resets forwarding. So what the guard was built for is on record (`record`), what there is can be compared with that
//! (`look`, `deviation`), and [`keep`] puts it back. The self-test of the audit opens the guard on purpose: while an
//! [`Opening`] is held, nobody else puts it back or changes it.

mod ruleset;
mod record;
mod settings;
mod table;
mod deviation;
mod look;
mod opening;

use std::fs;
use std::time::Duration;

use camino::Utf8Path;
use ipnet::Ipv4Net;

use crate::exec::{self, Command, Runner};
use crate::files::{FileError, Lock, failed};

use super::{FabricError, cable, nameservers, routes};
use record::Record;
use ruleset::{Reporting, Told, ruleset};

pub use deviation::Deviation;
pub use look::Look;
#[cfg(feature = "fuzzing")]
pub use look::read_nft;
pub(super) use look::{has_closed_settings, look, refused_packets};
pub use opening::Opening;
pub use ruleset::{LOG_GROUP, Link};

pub(super) use ruleset::LINK_PREFIX;
pub(super) use settings::write as write_settings;

/// Where locks and the record are.
const FOLDER: &str = "/run/homelab";
/// Held by whoever changes the guard, as long as that takes.
const LOCK: &str = "/run/homelab/guard.lock";

/// What became of the guard when it was looked after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kept {
    /// There is no link of ours: no guard is needed.
    NotNeeded,
    /// It stands as it was built.
    AsBuilt,
    /// It did not, and does again.
    Restored {
        /// What differed.
        deviations: Vec<Deviation>,
    },
    /// A self-test of the audit has opened it on purpose, and closes it.
    Opened {
        /// The self-test's process, where it is known.
        by: Option<u32>,
    },
}

fn nft(script: impl Into<Vec<u8>>) -> Command {
    Command::within(Duration::from_secs(20), "nft").args(["--file", "-"]).input(script)
}

/// Lets one process at a time change the guard; the kernel frees it with its holder.
#[derive(Debug)]
pub(super) struct Held {
    _changes: Lock,
    /// Shared by all who change the guard, and held alone while it is open on purpose.
    _closed: Lock,
}

/// Waits until nobody else changes the guard or has it open.
pub(super) async fn lock() -> Result<Held, FabricError> {
    let closed = opening::wait_until_closed().await?;
    Ok(Held { _changes: hold(LOCK).await?, _closed: closed })
}

/// Waits for a lock that one process at a time has, and the kernel frees with its holder.
pub(super) async fn hold(path: &'static str) -> Result<Lock, FabricError> {
    locked(path, Lock::of_file).await
}

async fn locked(
    path: &'static str,
    take: fn(&Utf8Path) -> Result<Lock, FileError>,
) -> Result<Lock, FabricError> {
    Ok(Lock::waited_for(in_folder(path)?.to_owned(), take).await?)
}

/// A lock file, whose folder is there.
fn in_folder(path: &str) -> Result<&Utf8Path, FabricError> {
    fs::create_dir_all(FOLDER).map_err(failed("make", Utf8Path::new(FOLDER)))?;
    Ok(Utf8Path::new(path))
}

/// Sets rules and routes, for these pools and links beside those that it was built for already; the lock is held. May
/// be repeated.
pub(super) async fn raise(pools: &[Ipv4Net], links: &[Link], runner: &dyn Runner) -> Result<(), FabricError> {
    let mut record = look::record(pools, runner).await?.unwrap_or_default();
    record.pools.extend(pools);
    links.iter().for_each(|link| record.told.add(link));
    record.write()?;
    set(&record, runner).await
}

/// Closes the kernel's settings of a link and keeps them closed; the lock is held.
///
/// # Errors
/// [`FabricError::Sysctl`], also where there is no such link.
pub(super) fn close(link: &str) -> Result<(), FabricError> {
    let mut record = Record::read()?.unwrap_or_default();
    if record.closed.insert(link.to_owned()) {
        record.write()?;
    }
    settings::close(link)
}

/// Takes rules and routes away when no link is left; the lock is held. While there are some, it forgets those that it
/// was told of and that are gone: the next owner of such a name may be somebody else.
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
    // Declaring the table first makes its removal succeed when it is not there.
    let gone = "table inet homelab\ndelete table inet homelab\n";
    runner.run(&nft(gone)).await.map_err(FabricError::Guard)?;
    routes::clear().await?;
    Record::remove()
}

/// Looks whether the guard stands as it was built, and puts it back where it does not. `pools` are those of the
/// caller's home, for a guard that nothing is on record of.
///
/// # Errors
/// [`FabricError`] when it cannot be looked at or put back, [`FabricError::NotKept`] when it differs all the same.
pub(super) async fn keep(pools: &[Ipv4Net], runner: &dyn Runner) -> Result<Kept, FabricError> {
    // Without the lock first: nearly always all is well, and nobody has to wait.
    match look(pools, runner).await? {
        None => return Ok(Kept::NotNeeded),
        Some(seen) if seen.is_as_built() => return Ok(Kept::AsBuilt),
        Some(_) => {}
    }
    let closed = match opening::closed_now()? {
        opening::Now::Closed(closed) => closed,
        opening::Now::Opened { by } => return Ok(Kept::Opened { by }),
    };
    let _lock = Held { _changes: hold(LOCK).await?, _closed: closed };
    let Some(seen) = look(pools, runner).await? else { return Ok(Kept::NotNeeded) };
    if seen.is_as_built() {
        return Ok(Kept::AsBuilt); // somebody was changing it, and has finished
    }
    put_back(pools, runner).await?;
    let ours = |seen: Look| seen.ours().cloned().collect::<Vec<_>>();
    match look(pools, runner).await?.map(ours) {
        Some(deviations) if !deviations.is_empty() => Err(FabricError::NotKept { deviations }),
        _ => Ok(Kept::Restored { deviations: ours(seen) }),
    }
}

/// Builds the guard anew by its record; the lock is held. Without a link of ours there is none to build.
async fn put_back(pools: &[Ipv4Net], runner: &dyn Runner) -> Result<(), FabricError> {
    let Some(record) = look::record(pools, runner).await? else { return Ok(()) };
    record.write()?;
    set(&record, runner).await?;
    settings::close_all(&record.closed)
}

/// Sets rules and routes as the record says.
async fn set(record: &Record, runner: &dyn Runner) -> Result<(), FabricError> {
    load(record, runner).await?;
    let pools: Vec<Ipv4Net> = record.pools.iter().copied().collect();
    routes::set(&pools, &nameservers::of_host()?).await
}

/// Loads the rules.
async fn load(record: &Record, runner: &dyn Runner) -> Result<(), FabricError> {
    with_ruleset(&record.told, nft, runner).await.map(drop)
}

/// Runs a command with the rules that report what they refuse, or, where the kernel has no log for that, with those
/// that count it. Where both are refused, the error is that of the former.
async fn with_ruleset(
    told: &Told,
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
