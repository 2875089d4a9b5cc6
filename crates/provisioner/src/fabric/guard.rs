//! The host guard: what closes the ways between clients that a Linux host opens by default.
//!
//! `ip_forward=0` is no isolation: with the weak host model a node that sets a route through its gateway
//! reaches every other address of the host, the other clients' gateways included, and Docker, libvirt and VPNs
//! switch forwarding on behind our back. So one static nftables table refuses whatever comes in through a link
//! of ours and is not an answer, and `routes` keeps addresses of the pools from ever leaving. The table names our links
//! by their prefix, so that no link can be forgotten in it. Links that a hypervisor names are in a set beside it, which
//! is kept by the kernel and nowhere else: homes know nothing of each other's links. The table stands from before the
//! first link until after the last one, across all homes of the host.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::time::Duration;

use ipnet::Ipv4Net;

use crate::exec::{Command, Failure, Runner};

use super::{FabricError, cable, nameservers, routes};

/// How the names of our links on the host begin.
pub(super) const LINK_PREFIX: &str = "hl-";
const LOCK: &str = "/run/homelab/guard.lock";

/// How the names of links into a hypervisor's management networks begin, see `InstanceId::management_link`.
const MANAGEMENT_PREFIX: &str = "hl-m";
/// The set of links that have other names.
const SET: &str = "links";

/// The guard's rules as `nft -f` takes them, replacing the table in one transaction. `named` are the links without our
/// prefix. Pure.
fn ruleset(named: &BTreeSet<String>) -> String {
    let named: Vec<String> = named.iter().map(|link| format!("\"{link}\"")).collect();
    let elements =
        if named.is_empty() { String::new() } else { format!("\n\t\telements = {{ {} }}", named.join(", ")) };
    format!(
        r#"table inet homelab
delete table inet homelab
table inet homelab {{
	comment "homelab: no client reaches the host or another client"

	set {SET} {{
		type ifname
		comment "links of ours that a hypervisor has named"{elements}
	}}

	chain prerouting {{
		type filter hook prerouting priority raw; policy accept;
		iifname "{LINK_PREFIX}*" fib daddr . iif type != {{ local, broadcast, multicast }} counter drop comment "not an address of this very link: weak host model"
		iifname @{SET} fib daddr . iif type != {{ local, broadcast, multicast }} counter drop comment "not an address of this very link: weak host model"
	}}

	chain input {{
		type filter hook input priority filter - 10; policy accept;
		iifname "{LINK_PREFIX}*" ct state established,related accept
		iifname @{SET} ct state established,related accept
		iifname "{MANAGEMENT_PREFIX}*" udp sport 68 udp dport 67 accept comment "DHCP by the hypervisor: how Vagrant finds a machine"
		iifname "{LINK_PREFIX}*" counter drop comment "the workstation offers its clients nothing"
		iifname @{SET} counter drop comment "the workstation offers its clients nothing"
	}}

	chain forward {{
		type filter hook forward priority filter - 10; policy accept;
		iifname "{LINK_PREFIX}*" counter drop comment "nothing leaves a client through the host"
		iifname @{SET} counter drop comment "nothing leaves a client through the host"
		oifname "{LINK_PREFIX}*" counter drop comment "nothing enters a client through the host"
		oifname @{SET} counter drop comment "nothing enters a client through the host"
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
    hold(LOCK).await
}

/// Waits for a lock that one process at a time has, and the kernel frees with its holder.
pub(super) async fn hold(path: &'static str) -> Result<File, FabricError> {
    let taken = tokio::task::spawn_blocking(move || {
        fs::create_dir_all("/run/homelab")?;
        let file = File::options().create(true).truncate(false).write(true).open(path)?;
        file.lock()?;
        Ok(file)
    });
    let taken = taken.await.unwrap_or_else(|panic| Err(std::io::Error::other(panic)));
    taken.map_err(|source| FabricError::Lock { path: path.to_owned(), source })
}

/// Sets rules and routes, and watches these links beside those with our prefix and those that are watched already; the
/// lock is held. May be repeated.
pub(super) async fn raise(
    pools: &[Ipv4Net],
    links: &[String],
    runner: &dyn Runner,
) -> Result<(), FabricError> {
    let mut named = watched(runner).await?;
    named.extend(links.iter().cloned());
    runner.run(&nft(ruleset(&named))).await.map_err(FabricError::Guard)?;
    routes::set(pools, &nameservers::of_host()?).await
}

/// Takes rules and routes away when no link is left; the lock is held. While there are some, it forgets the named ones
/// that are gone: the next owner of such a name may be somebody else.
pub(super) async fn lower_behind_the_last(runner: &dyn Runner) -> Result<(), FabricError> {
    let named = watched(runner).await?;
    let all = cable::link_names().await?;
    let left: BTreeSet<String> = named.intersection(&all).cloned().collect();
    if !left.is_empty() || all.iter().any(|link| link.starts_with(LINK_PREFIX)) {
        if left.len() < named.len() {
            runner.run(&nft(ruleset(&left))).await.map_err(FabricError::Guard)?;
        }
        return Ok(());
    }
    // Declaring the table first makes its removal succeed when it is not there.
    let gone = "table inet homelab\ndelete table inet homelab\n";
    runner.run(&nft(gone)).await.map_err(FabricError::Guard)?;
    routes::clear().await
}

/// The named links that the guard watches now; none where it does not stand, or is one from before there were any.
async fn watched(runner: &dyn Runner) -> Result<BTreeSet<String>, FabricError> {
    let ask = Command::within(Duration::from_secs(20), "nft")
        .args(["--json", "list", "set", "inet", "homelab", SET])
        .env("LC_ALL", "C");
    match runner.run(&ask).await {
        Ok(answer) => elements(&answer.text()).ok_or_else(|| FabricError::Answer { answer: answer.text() }),
        Err(error) if is_missing(&error.failure) => Ok(BTreeSet::new()),
        Err(error) => Err(FabricError::Guard(error)),
    }
}

fn is_missing(failure: &Failure) -> bool {
    matches!(failure, Failure::Status { stderr, .. } if stderr.contains("No such file or directory"))
}

/// The elements of the set in nft's answer, libnftables-json(5); nothing for an answer in another form. Pure.
fn elements(answer: &str) -> Option<BTreeSet<String>> {
    let answer: serde_json::Value = serde_json::from_str(answer).ok()?;
    let set = answer.get("nftables")?.as_array()?.iter().find_map(|object| object.get("set"))?;
    let Some(all) = set.get("elem") else { return Some(BTreeSet::new()) };
    all.as_array()?.iter().map(|element| element.as_str().map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::{Exchange, Scripted};

    #[test]
    fn the_guard_refuses_every_way_in_and_through() {
        insta::assert_snapshot!(ruleset(&BTreeSet::new()));
    }

    #[test]
    fn links_that_a_hypervisor_has_named_are_refused_the_same() {
        let named = ["vboxnet0", "vboxnet3"].map(str::to_owned);
        insta::assert_snapshot!(ruleset(&BTreeSet::from(named)));
    }

    /// Answers of nft 1.0.6.
    #[test]
    fn the_watched_links_are_read_from_nft() {
        let answer = |rest: &str| {
            format!(
                r#"{{"nftables": [{{"metainfo": {{"version": "1.0.6", "json_schema_version": 1}}}}, {{"set": {{"family": "inet", "name": "links", "table": "homelab", "type": "ifname", "handle": 3, "comment": "x"{rest}}}}}]}}"#
            )
        };
        let named = |links: &[&str]| Some(links.iter().map(|&link| link.to_owned()).collect());
        assert_eq!(
            elements(&answer(r#", "elem": ["vboxnet0", "vboxnet3"]"#)),
            named(&["vboxnet0", "vboxnet3"])
        );
        assert_eq!(elements(&answer("")), named(&[]));
        assert_eq!(elements(&answer(r#", "elem": [3]"#)), None);
        assert_eq!(elements("set links { }"), None);
    }

    #[tokio::test]
    async fn a_guard_that_does_not_stand_watches_nothing_and_one_that_cannot_be_read_is_an_error() {
        let ask = "LC_ALL=C nft --json list set inet homelab links";
        let fails = |stderr: &str| Scripted::new([Exchange::fails(ask, 1, stderr)]);
        assert_eq!(watched(&fails("Error: No such file or directory\n")).await.ok(), Some(BTreeSet::new()));
        let denied = "Operation not permitted (you must be root)\n";
        assert!(matches!(watched(&fails(denied)).await, Err(FabricError::Guard(_))));
    }

    #[test]
    fn every_link_of_ours_is_one_that_the_guard_watches() {
        let id = crate::plan::InstanceId { home: "0a1b2c".to_owned(), name: "a".repeat(40) };
        assert!(id.link().starts_with(LINK_PREFIX));
        assert!(id.link().len() <= 15, "IFNAMSIZ: {}", id.link());
        assert!(id.management_link().starts_with(MANAGEMENT_PREFIX));
        assert!(!id.link().starts_with(MANAGEMENT_PREFIX), "DHCP is for management links alone");
        assert!(id.management_link().len() <= 15, "IFNAMSIZ: {}", id.management_link());
    }
}
