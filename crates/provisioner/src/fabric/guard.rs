//! The host guard: what closes the ways between clients that a Linux host opens by default.
//!
//! `ip_forward=0` is no isolation: with the weak host model a node that sets a route through its gateway
//! reaches every other address of the host, the other clients' gateways included, and Docker, libvirt and VPNs
//! switch forwarding on behind our back. So one static nftables table refuses whatever comes in through a link
//! of ours and is not an answer, and `routes` keeps addresses of the pools from ever leaving. The table names our links by their prefix, so that no link can be forgotten in it. It stands
//! from before the first link until after the last one, across all homes of the host.

use std::fs::{self, File};
use std::time::Duration;

use ipnet::Ipv4Net;

use crate::exec::{Command, Runner};

use super::{FabricError, cable, nameservers, routes};

/// How the names of our links on the host begin.
pub(super) const LINK_PREFIX: &str = "hl-";
const LOCK: &str = "/run/homelab/guard.lock";

/// The guard's rules as `nft -f` takes them, replacing the table in one transaction. Pure.
fn ruleset() -> String {
    format!(
        r#"table inet homelab
delete table inet homelab
table inet homelab {{
	comment "homelab: no client reaches the host or another client"

	chain prerouting {{
		type filter hook prerouting priority raw; policy accept;
		iifname "{LINK_PREFIX}*" fib daddr . iif type != {{ local, broadcast, multicast }} counter drop comment "not an address of this very link: weak host model"
	}}

	chain input {{
		type filter hook input priority filter - 10; policy accept;
		iifname "{LINK_PREFIX}*" ct state established,related accept
		iifname "{LINK_PREFIX}*" counter drop comment "the workstation offers its clients nothing"
	}}

	chain forward {{
		type filter hook forward priority filter - 10; policy accept;
		iifname "{LINK_PREFIX}*" counter drop comment "nothing leaves a client through the host"
		oifname "{LINK_PREFIX}*" counter drop comment "nothing enters a client through the host"
	}}
}}
"#
    )
}

fn nft(script: impl Into<Vec<u8>>) -> Command {
    Command::within(Duration::from_secs(20), "nft").args(["--file", "-"]).input(script)
}

/// Lets one process at a time change the guard and the set of links; the kernel frees it with its holder.
pub(super) async fn lock() -> Result<File, FabricError> {
    let taken = tokio::task::spawn_blocking(|| {
        fs::create_dir_all("/run/homelab")?;
        let file = File::options().create(true).truncate(false).write(true).open(LOCK)?;
        file.lock()?;
        Ok(file)
    });
    let taken = taken.await.unwrap_or_else(|panic| Err(std::io::Error::other(panic)));
    taken.map_err(|source| FabricError::Lock { path: LOCK.to_owned(), source })
}

/// Sets rules and routes; the lock is held. May be repeated.
pub(super) async fn raise(pools: &[Ipv4Net], runner: &dyn Runner) -> Result<(), FabricError> {
    runner.run(&nft(ruleset())).await.map_err(FabricError::Guard)?;
    routes::set(pools, &nameservers::of_host()?).await
}

/// Takes rules and routes away when no link is left; the lock is held.
pub(super) async fn lower_behind_the_last(runner: &dyn Runner) -> Result<(), FabricError> {
    if !cable::host_links().await?.is_empty() {
        return Ok(());
    }
    // Declaring the table first makes its removal succeed when it is not there.
    let gone = "table inet homelab\ndelete table inet homelab\n";
    runner.run(&nft(gone)).await.map_err(FabricError::Guard)?;
    routes::clear().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guard_refuses_every_way_in_and_through() {
        insta::assert_snapshot!(ruleset());
    }

    #[test]
    fn every_link_of_ours_is_one_that_the_guard_watches() {
        let id = crate::plan::InstanceId { home: "0a1b2c".to_owned(), name: "a".repeat(40) };
        assert!(id.link().starts_with(LINK_PREFIX));
        assert!(id.link().len() <= 15, "IFNAMSIZ: {}", id.link());
    }
}
