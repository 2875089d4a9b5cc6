//! The host guard: what closes the ways between clients that a Linux host opens by default.
//!
//! `ip_forward=0` is no isolation: with the weak host model a node that sets a route through its gateway
//! reaches every other address of the host, the other clients' gateways included, and Docker, libvirt and VPNs
//! switch forwarding on behind our back. So one static nftables table refuses whatever comes in through a link
//! of ours and is not an answer, and `routes` keeps addresses of the pools from ever leaving. The table names our links
//! by their prefix, so that no link can be forgotten in it. Links that a hypervisor names are in a set beside it, which
//! is kept by the kernel and nowhere else: homes know nothing of each other's links. The table stands from before the
//! first link until after the last one, across all homes of the host.
//!
//! Where the host filters bridged frames too (br_netfilter, as container runtimes and libvirt's firewalls like to have
//! it), what goes from node to node of one client over a bridge on the host comes by here as if it were forwarded. So
//! such bridges are in a second set, with themselves: what stays in one passes.

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
const NAMED: &str = "links";
/// The set of bridges, each as the pair of links from which and to which a frame goes that stays in it.
const BRIDGES: &str = "bridges";

/// A link that a hypervisor makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Link {
    /// Its name is the hypervisor's, so the guard's rules have to be told.
    Named(String),
    /// Nodes of one client are on it beside the host. Its name begins as ours do.
    Bridge(String),
}

/// The links that the guard's rules have to be told of.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Told {
    named: BTreeSet<String>,
    bridges: BTreeSet<String>,
}

impl Told {
    fn add(&mut self, link: &Link) {
        match link {
            Link::Named(name) => self.named.insert(name.clone()),
            Link::Bridge(name) => self.bridges.insert(name.clone()),
        };
    }

    /// Those of them that are among `all`.
    fn still_in(&self, all: &BTreeSet<String>) -> Self {
        let still = |links: &BTreeSet<String>| links.intersection(all).cloned().collect();
        Self { named: still(&self.named), bridges: still(&self.bridges) }
    }
}

/// The elements of a set, each with a quoted name in it, as a line of its definition. Pure.
fn elements(links: &BTreeSet<String>, element: impl Fn(String) -> String) -> String {
    let all: Vec<String> = links.iter().map(|link| element(format!("\"{link}\""))).collect();
    if all.is_empty() { String::new() } else { format!("\n\t\telements = {{ {} }}", all.join(", ")) }
}

/// The guard's rules as `nft -f` takes them, replacing the table in one transaction. Pure.
fn ruleset(told: &Told) -> String {
    let named = elements(&told.named, |link| link);
    let bridges = elements(&told.bridges, |bridge| format!("{bridge} . {bridge}"));
    format!(
        r#"table inet homelab
delete table inet homelab
table inet homelab {{
	comment "homelab: no client reaches the host or another client"

	set {NAMED} {{
		type ifname
		comment "links of ours that a hypervisor has named"{named}
	}}

	set {BRIDGES} {{
		type ifname . ifname
		comment "bridges of one client each: from itself, to itself"{bridges}
	}}

	chain prerouting {{
		type filter hook prerouting priority raw; policy accept;
		iifname . iifname @{BRIDGES} fib daddr type != local accept comment "stays in its bridge, or is for the forward chain"
		iifname "{LINK_PREFIX}*" fib daddr . iif type != {{ local, broadcast, multicast }} counter drop comment "not an address of this very link: weak host model"
		iifname @{NAMED} fib daddr . iif type != {{ local, broadcast, multicast }} counter drop comment "not an address of this very link: weak host model"
	}}

	chain input {{
		type filter hook input priority filter - 10; policy accept;
		iifname "{LINK_PREFIX}*" ct state established,related accept
		iifname @{NAMED} ct state established,related accept
		iifname "{MANAGEMENT_PREFIX}*" udp sport 68 udp dport 67 accept comment "DHCP by the hypervisor: how Vagrant finds a machine"
		iifname "{LINK_PREFIX}*" counter drop comment "the workstation offers its clients nothing"
		iifname @{NAMED} counter drop comment "the workstation offers its clients nothing"
	}}

	chain forward {{
		type filter hook forward priority filter - 10; policy accept;
		iifname . oifname @{BRIDGES} accept comment "stays with its client, and is here because the host filters bridged frames"
		iifname "{LINK_PREFIX}*" counter drop comment "nothing leaves a client through the host"
		iifname @{NAMED} counter drop comment "nothing leaves a client through the host"
		oifname "{LINK_PREFIX}*" counter drop comment "nothing enters a client through the host"
		oifname @{NAMED} counter drop comment "nothing enters a client through the host"
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

/// Sets rules and routes, and tells them of these links beside those that they know already; the lock is held. May be
/// repeated.
pub(super) async fn raise(pools: &[Ipv4Net], links: &[Link], runner: &dyn Runner) -> Result<(), FabricError> {
    let mut told = told(runner).await?;
    links.iter().for_each(|link| told.add(link));
    runner.run(&nft(ruleset(&told))).await.map_err(FabricError::Guard)?;
    routes::set(pools, &nameservers::of_host()?).await
}

/// Takes rules and routes away when no link is left; the lock is held. While there are some, it forgets those that it was
/// told of and that are gone: the next owner of such a name may be somebody else.
pub(super) async fn lower_behind_the_last(runner: &dyn Runner) -> Result<(), FabricError> {
    let told = told(runner).await?;
    let all = cable::link_names().await?;
    let left = told.still_in(&all);
    if !left.named.is_empty() || all.iter().any(|link| link.starts_with(LINK_PREFIX)) {
        if left != told {
            runner.run(&nft(ruleset(&left))).await.map_err(FabricError::Guard)?;
        }
        return Ok(());
    }
    // Declaring the table first makes its removal succeed when it is not there.
    let gone = "table inet homelab\ndelete table inet homelab\n";
    runner.run(&nft(gone)).await.map_err(FabricError::Guard)?;
    routes::clear().await
}

/// The links that the guard was told of; none where it does not stand, or is one from before there were any.
async fn told(runner: &dyn Runner) -> Result<Told, FabricError> {
    let ask = Command::within(Duration::from_secs(20), "nft")
        .args(["--json", "list", "table", "inet", "homelab"])
        .env("LC_ALL", "C");
    match runner.run(&ask).await {
        Ok(answer) => read(&answer.text()).ok_or_else(|| FabricError::Answer { answer: answer.text() }),
        Err(error) if is_missing(&error.failure) => Ok(Told::default()),
        Err(error) => Err(FabricError::Guard(error)),
    }
}

fn is_missing(failure: &Failure) -> bool {
    matches!(failure, Failure::Status { stderr, .. } if stderr.contains("No such file or directory"))
}

/// The sets in nft's answer, libnftables-json(5); nothing for an answer in another form. Pure.
fn read(answer: &str) -> Option<Told> {
    let answer: serde_json::Value = serde_json::from_str(answer).ok()?;
    let mut told = Told::default();
    for set in answer.get("nftables")?.as_array()?.iter().filter_map(|object| object.get("set")) {
        let Some(all) = set.get("elem") else { continue };
        for element in all.as_array()? {
            told.add(&match set.get("name")?.as_str()? {
                NAMED => Link::Named(element.as_str()?.to_owned()),
                BRIDGES => Link::Bridge(element.get("concat")?.get(0)?.as_str()?.to_owned()),
                _ => continue,
            });
        }
    }
    Some(told)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::{Exchange, Scripted};

    #[test]
    fn the_guard_refuses_every_way_in_and_through() {
        insta::assert_snapshot!(ruleset(&Told::default()));
    }

    #[test]
    fn links_that_a_hypervisor_has_named_are_refused_the_same_and_what_stays_in_a_bridge_passes() {
        let told = Told {
            named: BTreeSet::from(["vboxnet0", "vboxnet3"].map(str::to_owned)),
            bridges: BTreeSet::from(["hl-0a1b2c3d4e5f", "hl-5f4e3d2c1b0a"].map(str::to_owned)),
        };
        insta::assert_snapshot!(ruleset(&told));
    }

    /// Answers of nft 1.0.6.
    #[test]
    fn what_the_guard_was_told_is_read_from_nft() {
        let answer = |links: &str, bridges: &str| {
            format!(
                r#"{{"nftables": [{{"metainfo": {{"version": "1.0.6", "json_schema_version": 1}}}}, {{"set": {{"family": "inet", "name": "links", "table": "homelab", "type": "ifname", "handle": 3, "comment": "x"{links}}}}}, {{"set": {{"family": "inet", "name": "bridges", "table": "homelab", "type": ["ifname", "ifname"], "handle": 4{bridges}}}}}]}}"#
            )
        };
        assert_eq!(read(&answer("", "")), Some(Told::default()));
        let told = Told {
            named: BTreeSet::from(["vboxnet0", "vboxnet3"].map(str::to_owned)),
            bridges: BTreeSet::from(["hl-b2a3bad8e2".to_owned()]),
        };
        let pair = r#", "elem": [{"concat": ["hl-b2a3bad8e2", "hl-b2a3bad8e2"]}]"#;
        assert_eq!(read(&answer(r#", "elem": ["vboxnet0", "vboxnet3"]"#, pair)), Some(told));
        assert_eq!(read(&answer(r#", "elem": [3]"#, "")), None);
        assert_eq!(read(&answer("", r#", "elem": ["hl-b2a3bad8e2"]"#)), None);
        assert_eq!(read("set links { }"), None);
    }

    #[tokio::test]
    async fn a_guard_that_does_not_stand_was_told_nothing_and_one_that_cannot_be_read_is_an_error() {
        let ask = "LC_ALL=C nft --json list table inet homelab";
        let fails = |stderr: &str| Scripted::new([Exchange::fails(ask, 1, stderr)]);
        assert_eq!(told(&fails("Error: No such file or directory\n")).await.ok(), Some(Told::default()));
        let denied = "Operation not permitted (you must be root)\n";
        assert!(matches!(told(&fails(denied)).await, Err(FabricError::Guard(_))));
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
