//! Injections of routes: the host guard accepts some packets, and the host forwards them.
//!
//! The target needs no route for its answers: forwarded packets get the host's own address as their source.

use provisioner::request::{EngineKind, Provider};

use super::changes::{Changes, command};
use super::{InjectError, Pair, networks};
use crate::audit::ipv6;
use crate::audit::subject::Uplink;

/// The host forwards packets that match an nftables condition from the source to the target, and the answers.
pub(super) async fn open(pair: &Pair<'_>, changes: &mut Changes, condition: &str) -> Result<(), InjectError> {
    open_by(&ForwardPath::of(pair)?, changes, condition).await
}

/// The host forwards everything from the source's management network to the target, and the answers.
pub(super) async fn pivot(pair: &Pair<'_>, changes: &mut Changes) -> Result<(), InjectError> {
    let management = pair.source.management.as_ref().and_then(|management| management.link.clone());
    let cluster = pair.source.name.clone();
    let from = management.ok_or(InjectError::Missing { what: "a management network", cluster })?;
    open_by(&ForwardPath { from, ..ForwardPath::of(pair)? }, changes, "").await
}

async fn open_by(way: &ForwardPath, changes: &mut Changes, condition: &str) -> Result<(), InjectError> {
    let (from, to) = way.names();
    let rules = format!(
        "{}
        insert rule inet homelab forward iifname {from} oifname {to} {condition} accept
        insert rule inet homelab forward iifname {to} oifname {from} ct state established,related accept
        {}",
        way.past_the_first_check(condition),
        way.masquerade()
    );
    way.route(changes).await?;
    changes.change_guard(&rules).await
}

/// The host forwards IPv6 from the source to the target, between the addresses that the audit adds to nodes. The kernel
/// forwards IPv6 only where `net.ipv6.conf.all.forwarding` is on, and the host needs the answers of the target's nodes to
/// its neighbour solicitations. It sends them from its link-local address, which must therefore be usable at once:
/// without duplicate address detection (RFC 4862, section 5.4), which takes up to two seconds.
pub(super) async fn open_ipv6(pair: &Pair<'_>, changes: &mut Changes) -> Result<(), InjectError> {
    let way = ForwardPath::of(pair)?;
    for Uplink { link, gateway, subnet, .. } in [pair.source_uplink()?, pair.target_uplink()?] {
        changes.set(&format!("ipv6/conf/{link}/accept_dad"), "0").await?;
        changes.set(&format!("ipv6/conf/{link}/disable_ipv6"), "0").await?;
        let own = ipv6::beside(*gateway, *subnet).to_string();
        let address = format!("{own}/{}", ipv6::network(*subnet).prefix_len());
        let words = |verb| command("ip", &["-6", "address", verb, &address, "dev", link, "nodad"]);
        changes.on_host(&words("add"), command("ip", &["-6", "address", "flush", "to", &own])).await?;
    }
    changes.set("ipv6/conf/all/forwarding", "1").await?;
    let (from, to) = way.names();
    let rules = format!(
        "insert rule inet homelab prerouting iifname {{ {from}, {to} }} meta nfproto ipv6 accept
        insert rule inet homelab input iifname {to} meta l4proto ipv6-icmp accept
        insert rule inet homelab forward iifname {from} oifname {to} meta nfproto ipv6 accept\n"
    );
    changes.change_guard(&rules).await
}

/// The host forwards everything from the source to the target, and no answers.
pub(super) async fn one_way(pair: &Pair<'_>, changes: &mut Changes) -> Result<(), InjectError> {
    let way = ForwardPath::of(pair)?;
    let (from, to) = way.names();
    let rules = format!(
        "{}\ninsert rule inet homelab forward iifname {from} oifname {to} accept\n",
        way.past_the_first_check("")
    );
    way.route(changes).await?;
    changes.change_guard(&rules).await
}

/// The host forwards new TCP flows to the witness up to a quota, and afterwards only packets of flows that exist.
pub(super) async fn established(pair: &Pair<'_>, changes: &mut Changes) -> Result<(), InjectError> {
    const BEGINNINGS: &str = "tcp dport 7001 ct state new quota 4000 bytes"; // about 60 SYNs
    let way = ForwardPath::of(pair)?;
    let (from, to) = way.names();
    let rules = format!(
        "{}
        insert rule inet homelab forward iifname {from} oifname {to} {BEGINNINGS} accept
        insert rule inet homelab forward iifname {from} oifname {to} ct state established accept
        insert rule inet homelab forward iifname {to} oifname {from} ct state established accept
        {}",
        way.past_the_first_check("tcp dport 7001"),
        way.masquerade()
    );
    way.route(changes).await?;
    changes.change_guard(&rules).await
}

/// The host forwards to pods and services of the target, through the node of the target's pod witness.
pub(super) async fn pods(pair: &Pair<'_>, changes: &mut Changes) -> Result<(), InjectError> {
    let target = pair.target;
    let node = target.nodes.iter().find(|node| node.name == target.pod.node);
    let missing = || InjectError::Missing { what: "the witness's node", cluster: target.name.clone() };
    let via = node.ok_or_else(missing)?.address.to_string();
    let (plan, link) = (&pair.to.inner().plan, &pair.target_uplink()?.link);
    for net in [plan.pod_cidr, plan.service_cidr] {
        let net = net.to_string();
        let words = |verb| command("ip", &["route", verb, &net, "via", &via, "dev", link]);
        changes.on_host(&words("add"), words("del")).await?;
    }
    open(pair, changes, &format!("ip daddr {{ {}, {} }}", plan.pod_cidr, plan.service_cidr)).await
}

/// The links of the host between which it forwards, and the networks behind the second one.
#[derive(Debug)]
struct ForwardPath {
    from: String,
    to: String,
    networks: String,
    /// Whether libvirt has firewall rules of its own for these links.
    hypervisor: bool,
}

impl ForwardPath {
    /// From the source's link to the target's.
    fn of(pair: &Pair<'_>) -> Result<Self, InjectError> {
        Ok(Self {
            from: pair.source_uplink()?.link.clone(),
            to: pair.target_uplink()?.link.clone(),
            networks: networks(pair.to),
            hypervisor: pair.to.inner().plan.engine == EngineKind::Vagrant(Provider::Libvirt),
        })
    }

    /// The names of both links, quoted for nftables.
    fn names(&self) -> (String, String) {
        (format!("\"{}\"", self.from), format!("\"{}\"", self.to))
    }

    /// The rule before the guard's check that a packet goes to an address of the link on which it arrived.
    fn past_the_first_check(&self, condition: &str) -> String {
        let ((from, _), theirs) = (self.names(), &self.networks);
        format!(
            "insert rule inet homelab prerouting iifname {from} ip daddr {{ {theirs} }} {condition} accept"
        )
    }

    /// The rules that give forwarded packets the host's own address as their source.
    fn masquerade(&self) -> String {
        let (from, to) = self.names();
        format!(
            "add chain inet homelab injected {{ type nat hook postrouting priority srcnat; }}
        add rule inet homelab injected iifname {from} oifname {to} masquerade\n"
        )
    }

    /// Switches forwarding on for both links. libvirt rejects packets from and to its isolated networks by rules that
    /// it appends to the FORWARD chain (libvirt, "Firewall and network filtering"), so accepting rules are inserted in
    /// front of them.
    async fn route(&self, changes: &mut Changes) -> Result<(), InjectError> {
        for link in [&self.from, &self.to] {
            changes.set(&format!("ipv4/conf/{link}/forwarding"), "1").await?;
        }
        if self.hypervisor {
            for (from, to) in [(&self.from, &self.to), (&self.to, &self.from)] {
                let rule = ["FORWARD", "--in-interface", from, "--out-interface", to, "--jump", "ACCEPT"];
                let tables = |verb| command("iptables", &[&["--wait", verb][..], &rule].concat());
                changes.on_host(&tables("--insert"), tables("--delete")).await?;
            }
        }
        Ok(())
    }
}
