//! The guard's rules as text, and the links that the rules have to name. Pure.
//!
//! Only the elements of the table's two sets of links ever change. Every refused packet ends in one of two chains,
//! which count it by link and report it to the log group [`LOG_GROUP`]; the guard works without a listener. The rate of
//! reports is limited for each link separately, so that a flood on one link hides no packet of another link.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// The prefix of the names of our links on the host.
pub(in crate::fabric) const LINK_PREFIX: &str = "hl-";
/// The prefix of the names of links into a hypervisor's management networks, see `InstanceId::management_link`.
pub(super) const MANAGEMENT_PREFIX: &str = "hl-m";
/// The name of the set of links without our prefix.
pub(super) const NAMED: &str = "links";
/// The name of the set of bridges. Each element has the same bridge as incoming and as outgoing link.
pub(super) const BRIDGES: &str = "bridges";
/// The name of the set that counts refused packets by link. The kernel fills this set.
pub(super) const REFUSED: &str = "refused";
/// The name of the set that limits the rate of reports by link. The kernel fills this set.
pub(super) const REPORTED: &str = "reported";
/// The log group of refused packets (`NFLOG`); ulogd's examples use groups below 16.
pub const LOG_GROUP: u16 = 104;

/// A link that a hypervisor makes, and that the rules have to name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GuardedLink {
    /// The hypervisor has chosen the name, such as `vboxnet0`, so that it does not have our prefix.
    Named(String),
    /// A bridge with our prefix. The nodes of one instance are on it, beside the host.
    Bridge(String),
}

/// The links that the guard's rules have to name.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct NamedLinks {
    /// Links whose names the hypervisor has chosen, such as `vboxnet0`.
    pub(super) named: BTreeSet<String>,
    /// Bridges on the host, each of one instance.
    pub(super) bridges: BTreeSet<String>,
}

impl NamedLinks {
    pub(super) fn add(&mut self, link: &GuardedLink) {
        match link {
            GuardedLink::Named(name) => self.named.insert(name.clone()),
            GuardedLink::Bridge(name) => self.bridges.insert(name.clone()),
        };
    }

    /// The links of this value that are also in `all`.
    pub(super) fn still_in(&self, all: &BTreeSet<String>) -> Self {
        let still = |links: &BTreeSet<String>| links.intersection(all).cloned().collect();
        Self { named: still(&self.named), bridges: still(&self.bridges) }
    }
}

/// What the rules do with a refused packet, beside dropping it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reporting {
    /// Count the packet and report it to [`LOG_GROUP`].
    Logged,
    /// Only count the packet, since the kernel has no nfnetlink_log.
    Counted,
}

/// The line `elements = …` in the definition of a set; `element` gets each name in quotes. Empty for no links.
fn elements(links: &BTreeSet<String>, element: impl Fn(String) -> String) -> String {
    let all: Vec<String> = links.iter().map(|link| element(format!("\"{link}\""))).collect();
    if all.is_empty() { String::new() } else { format!("\n\t\telements = {{ {} }}", all.join(", ")) }
}

/// The line of a chain with the rule that reports a refused packet; `side` is `iifname` or `oifname`. Broadcasts are
/// not reported, since they are no attempt to reach another client.
fn report(side: &str, reporting: Reporting) -> String {
    match reporting {
        Reporting::Logged => format!(
            "\n\t\tmeta pkttype host update @{REPORTED} {{ {side} limit rate 20/second burst 40 packets }} \
             log prefix \"homelab\" group {LOG_GROUP} snaplen 128"
        ),
        Reporting::Counted => String::new(),
    }
}

/// The guard's rules for `nft -f`; they replace the table in one transaction.
pub(super) fn ruleset(told: &NamedLinks, reporting: Reporting) -> String {
    let named = elements(&told.named, |link| link);
    let bridges = elements(&told.bridges, |bridge| format!("{bridge} . {bridge}"));
    let (report_from, report_to) = (report("iifname", reporting), report("oifname", reporting));
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

	set {REFUSED} {{
		type ifname
		flags dynamic
		comment "how many packets of each link were refused"
	}}

	set {REPORTED} {{
		type ifname
		flags dynamic
		comment "how fast refusals of each link are reported"
	}}

	chain refuse_from {{
		update @{REFUSED} {{ iifname counter }} comment "counts by the link where it came in"{report_from}
		drop
	}}

	chain refuse_to {{
		update @{REFUSED} {{ oifname counter }} comment "counts by the link where it would have gone out"{report_to}
		drop
	}}

	chain prerouting {{
		type filter hook prerouting priority raw; policy accept;
		iifname . iifname @{BRIDGES} fib daddr type != local accept comment "stays in its bridge, or is for the forward chain"
		iifname "{LINK_PREFIX}*" fib daddr . iif type != {{ local, broadcast, multicast }} goto refuse_from comment "not an address of this very link: weak host model"
		iifname @{NAMED} fib daddr . iif type != {{ local, broadcast, multicast }} goto refuse_from comment "not an address of this very link: weak host model"
	}}

	chain input {{
		type filter hook input priority filter - 10; policy accept;
		iifname "{LINK_PREFIX}*" ct state established,related accept comment "answers to the host"
		iifname @{NAMED} ct state established,related accept comment "answers to the host"
		iifname "{MANAGEMENT_PREFIX}*" udp sport 68 udp dport 67 accept comment "DHCP by the hypervisor: how Vagrant finds a machine"
		iifname "{LINK_PREFIX}*" goto refuse_from comment "the host offers its clients nothing"
		iifname @{NAMED} goto refuse_from comment "the host offers its clients nothing"
	}}

	chain forward {{
		type filter hook forward priority filter - 10; policy accept;
		iifname . oifname @{BRIDGES} accept comment "stays with its client, and is here because the host filters bridged frames"
		iifname "{LINK_PREFIX}*" goto refuse_from comment "nothing leaves a client through the host"
		iifname @{NAMED} goto refuse_from comment "nothing leaves a client through the host"
		oifname "{LINK_PREFIX}*" goto refuse_to comment "nothing enters a client through the host"
		oifname @{NAMED} goto refuse_to comment "nothing enters a client through the host"
	}}
}}
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ruleset_refuses_traffic_into_and_through_the_host() {
        insta::assert_snapshot!(ruleset(&NamedLinks::default(), Reporting::Logged));
    }

    #[test]
    fn without_a_log_in_the_kernel_refusals_are_still_counted() {
        let logged = ruleset(&NamedLinks::default(), Reporting::Logged);
        let counted = ruleset(&NamedLinks::default(), Reporting::Counted);
        let without: Vec<&str> = logged.lines().filter(|line| !line.contains("log prefix")).collect();
        assert_eq!(counted.lines().collect::<Vec<_>>(), without);
        assert!(!counted.contains(" log "), "{counted}");
    }

    #[test]
    fn links_named_by_a_hypervisor_are_refused_too_and_traffic_within_a_bridge_passes() {
        let told = NamedLinks {
            named: BTreeSet::from(["vboxnet0", "vboxnet3"].map(str::to_owned)),
            bridges: BTreeSet::from(["hl-0a1b2c3d4e5f", "hl-5f4e3d2c1b0a"].map(str::to_owned)),
        };
        insta::assert_snapshot!(ruleset(&told, Reporting::Logged));
    }

    #[test]
    fn the_names_of_all_links_have_the_prefix_that_the_guard_matches() {
        let id = crate::plan::InstanceId { home: "0a1b2c".to_owned(), name: "a".repeat(40) };
        assert!(id.link().starts_with(LINK_PREFIX));
        assert!(id.link().len() <= 15, "IFNAMSIZ: {}", id.link());
        assert!(id.management_link().starts_with(MANAGEMENT_PREFIX));
        assert!(!id.link().starts_with(MANAGEMENT_PREFIX), "DHCP is for management links alone");
        assert!(id.management_link().len() <= 15, "IFNAMSIZ: {}", id.management_link());
    }
}
