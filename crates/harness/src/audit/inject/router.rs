//! A second router: a network namespace with a link in the networks of both clusters.

use super::cable::{carries, plug, spare};
use super::changes::{Changes, command};
use super::switch::Switch;
use super::{InjectError, Pair};
use crate::cluster::TestCluster;

/// A router that does not exist yet.
#[derive(Debug)]
pub(super) struct Router<'a> {
    /// The name of its namespace.
    pub(super) name: &'a str,
    /// The names of its links in the networks of the source and of the target, on both ends.
    pub(super) links: [&'a str; 2],
    /// The place of its addresses among the spare ones of both networks.
    pub(super) place: u8,
    /// The condition of nftables for what it forwards, besides answers: `tcp dport 8443`. `None` for everything.
    pub(super) only: Option<&'a str>,
}

/// Adds a network namespace that forwards everything between the networks of both clusters. The host and its guard take
/// no part.
pub(super) async fn between(pair: &Pair<'_>, changes: &mut Changes) -> Result<(), InjectError> {
    let router = Router { name: "injected-router", links: ["router0", "router1"], place: 0, only: None };
    router.between(pair, changes).await
}

impl Router<'_> {
    /// Adds the router between the networks of both clusters.
    pub(super) async fn between(&self, pair: &Pair<'_>, changes: &mut Changes) -> Result<(), InjectError> {
        let (name, sides) = (self.name, [pair.from, pair.to]);
        for cluster in sides {
            forgotten(cluster, changes, self.place).await?;
        }
        let own = |verb| command("ip", &["netns", verb, name]);
        changes.on_host(&own("add"), own("del")).await?;
        let inside = |words: &[&str]| command("ip", &[&["netns", "exec", name][..], words].concat());
        let path = format!("/run/netns/{name}");
        for (cluster, link) in sides.into_iter().zip(self.links) {
            let switch = Switch::of(&cluster.inner().plan);
            plug(changes, &switch, link, &path).await?;
            let address = spare(cluster, self.place).to_string();
            changes.ask(&inside(&["ip", "address", "add", &address, "dev", link])).await?;
            changes.ask(&inside(&["ip", "link", "set", link, "up"])).await?;
            carries(changes, &switch, link).await?;
        }
        if let Some(only) = self.only {
            let rules = format!(
                "table ip only {{\n chain forward {{\n type filter hook forward priority filter; policy drop;\n \
                 {only} accept\n ct state established,related accept\n }}\n}}\n"
            );
            changes.ask(&inside(&["nft", "-f", "-"]).input(rules)).await?;
        }
        changes.ask(&inside(&["sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"])).await.map(drop)
    }
}

/// Pushes an undo that makes the kernels of a cluster's nodes forget the spare address at this place, so that it is no
/// neighbour of theirs afterwards. It runs after those that are pushed later.
pub(super) async fn forgotten(of: &TestCluster, changes: &mut Changes, place: u8) -> Result<(), InjectError> {
    let (address, link) = (spare(of, place).addr().to_string(), of.inner().plan.platform.link);
    for node in of.nodes() {
        let forget = ["neighbour", "flush", "to", &address, "dev", link];
        changes.on_node(node, &command("true", &[]), command("ip", &forget)).await?;
    }
    Ok(())
}
