//! A second router: a network namespace with a link in the networks of both clusters.

use super::cable::{carries, plug, spare};
use super::changes::{Changes, command};
use super::switch::Switch;
use super::{InjectError, Pair};

/// The name of the namespace.
const ROUTER: &str = "injected-router";
/// The names of its links, on both ends.
const LINKS: [&str; 2] = ["router0", "router1"];

/// Adds a network namespace that forwards everything between the networks of both clusters. The host and its guard take
/// no part.
pub(super) async fn between(pair: &Pair<'_>, changes: &mut Changes) -> Result<(), InjectError> {
    let sides = [pair.from, pair.to];
    for cluster in sides {
        for node in cluster.nodes() {
            let address = spare(cluster).addr().to_string();
            // Undone last: the kernels of the nodes forget the router, so it is no neighbour of theirs afterwards.
            let forget = ["neighbour", "flush", "to", &address, "dev", cluster.inner().plan.platform.link];
            changes.on_node(node, &command("true", &[]), command("ip", &forget)).await?;
        }
    }
    let own = |verb| command("ip", &["netns", verb, ROUTER]);
    changes.on_host(&own("add"), own("del")).await?;
    let inside = |words: &[&str]| command("ip", &[&["netns", "exec", ROUTER][..], words].concat());
    let path = format!("/run/netns/{ROUTER}");
    for (cluster, link) in sides.into_iter().zip(LINKS) {
        let switch = Switch::of(&cluster.inner().plan);
        plug(changes, &switch, link, &path).await?;
        changes.ask(&inside(&["ip", "address", "add", &spare(cluster).to_string(), "dev", link])).await?;
        changes.ask(&inside(&["ip", "link", "set", link, "up"])).await?;
        carries(changes, &switch, link).await?;
    }
    let forward = "echo 1 > /proc/sys/net/ipv4/ip_forward";
    changes.ask(&inside(&["sh", "-c", forward])).await.map(drop)
}
