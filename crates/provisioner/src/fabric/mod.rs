//! The wires between nodes, and the guard that keeps the host from bridging clients.
//!
//! One network namespace is a switch: each instance has one with a bridge in it, each node has one whose
//! `eth0` is plugged into that bridge, and one more cable leads to the host. No wire of any kind leads from one
//! instance to another, and nodes have no default route: isolation is structural. What a Linux host opens by
//! default is closed by `guard`. Next in the flow: `engine::container` starts nodes in these namespaces.

mod netns;
mod cable;
mod nameservers;
mod routes;
mod guard;
mod host;

use std::collections::BTreeMap;
use std::io;

use ipnet::Ipv4Net;

use crate::exec::{CommandError, Runner};
use crate::files::{FileError, Lock};
use crate::plan::{ClusterPlan, InstanceId, NodePlan};
use crate::sighting::{Sighting, SightingKind};

#[cfg(feature = "fuzzing")]
pub use guard::read_nft;
pub use guard::{Deviation, Kept, LOG_GROUP, Link, Look, Opening};
pub use host::networks as host_networks;
pub use netns::path as namespace_path;

/// Why wires could not be laid, found or cut.
#[derive(Debug, thiserror::Error)]
pub enum FabricError {
    /// A network namespace.
    #[error("{attempt} network namespace {name}")]
    Namespace {
        /// `make`, `enter`, `remove`.
        attempt: &'static str,
        /// Which.
        name: String,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// A link, an address or a route.
    #[error("{attempt} {object}")]
    Netlink {
        /// `add link`, `move link`, `add address` …
        attempt: &'static str,
        /// Which, in which namespace.
        object: String,
        /// The kernel's answer.
        #[source]
        source: rtnetlink::Error,
    },
    /// A link that was just made is not there.
    #[error("link {name} is missing in {place}")]
    Missing {
        /// Which.
        name: String,
        /// Where it should be.
        place: String,
    },
    /// A kernel setting.
    #[error("set {path}")]
    Sysctl {
        /// Its file.
        path: String,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// A lock, or its folder.
    #[error(transparent)]
    File(#[from] FileError),
    /// The host's name servers.
    #[error("read the host's name servers in {path}")]
    NameServers {
        /// The file that lists them.
        path: String,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// The guard's rules.
    #[error("set the host guard")]
    Guard(#[source] CommandError),
    /// What the guard was built for.
    #[error("{attempt} what the host guard was built for: {path}")]
    Record {
        /// `read`, `write`, `remove`.
        attempt: &'static str,
        /// The file.
        path: String,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// The guard was built anew, and differs all the same: somebody else changes it at the same time.
    #[error("put the host guard back; it still differs:{}", told(.deviations))]
    NotKept {
        /// What differs.
        deviations: Vec<Deviation>,
    },
    /// nft answers in an unknown form.
    #[error("read the rules of the host guard: {answer}")]
    Answer {
        /// All of it.
        answer: String,
    },
}

fn told(deviations: &[Deviation]) -> String {
    deviations.iter().map(|deviation| format!("\n{deviation}")).collect()
}

/// Closes what the host opens on a link of its own by default: the kernel's settings, for this link alone. The guard
/// keeps them so until the link is gone.
///
/// # Errors
/// [`FabricError::Sysctl`], also where there is no such link.
pub async fn harden(link: &str) -> Result<(), FabricError> {
    let _lock = guard::lock().await?;
    guard::close(link)
}

/// Compares the guard with what was built. None where no link of ours is: then none is needed. `pools` are those of the
/// caller's home, for a guard that nothing is on record of. Changes nothing; without root, rules are not read.
///
/// # Errors
/// [`FabricError`] when the host cannot be asked.
pub async fn look_at_guard(pools: &[Ipv4Net], runner: &dyn Runner) -> Result<Option<Look>, FabricError> {
    guard::look(pools, runner).await
}

/// Whether the kernel's settings of all links of ours are closed: a few files are read, and no process is started.
///
/// # Errors
/// [`FabricError`] when they cannot be read.
pub(crate) fn has_closed_settings() -> Result<bool, FabricError> {
    guard::has_closed_settings()
}

/// How many packets of each link the guard has refused since its rules were loaded. Needs root.
///
/// # Errors
/// [`FabricError`] when nft does not say.
pub(crate) async fn refused_packets(runner: &dyn Runner) -> Result<BTreeMap<String, u64>, FabricError> {
    guard::refused_packets(runner).await
}

/// The name of the host's link with this index.
pub(crate) async fn link_name(index: u32) -> Option<String> {
    cable::link_of_index(index).await.ok().flatten()
}

/// Puts the guard back where it does not stand as it was built. Needs root.
///
/// # Errors
/// [`FabricError`] when it cannot be looked at or put back.
pub async fn keep_guard(pools: &[Ipv4Net], runner: &dyn Runner) -> Result<Kept, FabricError> {
    guard::keep(pools, runner).await
}

/// Sets the guard before links come that somebody else makes, a hypervisor. Those whose names begin with ours are
/// watched anyway; `links` are those that it has to be told of, and does not forget until they are gone. May be
/// repeated.
///
/// # Errors
/// [`FabricError`]; then nobody may make such a link.
pub async fn guard(pools: &[Ipv4Net], links: &[Link], runner: &dyn Runner) -> Result<(), FabricError> {
    let _lock = guard::lock().await?;
    guard::raise(pools, links, runner).await
}

/// Lets one process of this host at a time change adapters that VirtualBox names; the kernel frees it with its holder.
pub(crate) async fn adapters_lock() -> Result<Lock, FabricError> {
    guard::hold("/run/homelab/virtualbox.lock").await
}

/// Takes the guard away when there is no link any more that it watches, and else only its memory of those that are
/// gone.
///
/// # Errors
/// [`FabricError`]; it stands until this is repeated.
pub async fn lower(runner: &dyn Runner) -> Result<(), FabricError> {
    let _lock = guard::lock().await?;
    guard::lower_behind_the_last(runner).await
}

/// Lays all wires of a plan: may be called again, and adds what is missing.
///
/// The guard stands before the first cable reaches the host.
///
/// # Errors
/// [`FabricError`]; what was laid until then stays for [`cut`].
pub async fn lay(plan: &ClusterPlan, pools: &[Ipv4Net], runner: &dyn Runner) -> Result<(), FabricError> {
    let switch = plan.id.scope();
    netns::make(&switch).await?;
    cable::make_bridge(&switch).await?;
    {
        let _lock = guard::lock().await?;
        guard::raise(pools, &[], runner).await?;
        cable::plug_host(&switch, &plan.id.link(), plan.gateway, plan.subnet.prefix_len()).await?;
    }
    for node in &plan.nodes {
        let scope = plan.id.node_scope(&node.name);
        netns::make(&scope).await?;
        cable::plug_node(&switch, &scope, node.address, plan.subnet.prefix_len()).await?;
    }
    Ok(())
}

/// Cuts all wires of an instance, whatever is left of them, and lowers the guard behind the last one. Says whether
/// there were any.
///
/// # Errors
/// Every step that failed; the others were done.
pub async fn cut(id: &InstanceId, runner: &dyn Runner) -> Result<bool, Vec<FabricError>> {
    let (mut found, mut failures) = (false, Vec::new());
    let switch = id.scope();
    let nodes = format!("{switch}.");
    for name in netns::list().unwrap_or_default() {
        found |= name == switch || name.starts_with(&nodes);
        if name.starts_with(&nodes) {
            failures.extend(netns::remove(&name).await.err());
        }
    }
    match guard::lock().await {
        Ok(_lock) => {
            failures.extend(cable::remove_host_link(&id.link()).await.err());
            failures.extend(guard::lower_behind_the_last(runner).await.err());
        }
        Err(error) => failures.push(error),
    }
    failures.extend(netns::remove(&switch).await.err());
    if failures.is_empty() { Ok(found) } else { Err(failures) }
}

/// Cuts the cable of one node and removes its namespace, whatever is left of them; all other wires stay as they are.
/// Says whether there was such a namespace.
///
/// # Errors
/// Every step that failed; the others were done.
pub async fn cut_node(id: &InstanceId, node: &NodePlan) -> Result<bool, Vec<FabricError>> {
    let (switch, scope) = (id.scope(), id.node_scope(&node.name));
    let there = netns::list().unwrap_or_default();
    let mut failures = Vec::new();
    if there.contains(&switch) {
        failures.extend(cable::unplug_node(&switch, node.address).await.err());
    }
    failures.extend(netns::remove(&scope).await.err());
    if failures.is_empty() { Ok(there.contains(&scope)) } else { Err(failures) }
}

/// The namespaces and host links of a home's instances that really exist.
///
/// # Errors
/// [`FabricError`] when the host cannot be asked.
pub async fn sightings(home: &str) -> Result<Vec<Sighting>, FabricError> {
    let prefix = InstanceId::prefix(home);
    let instance_of = |scope: &str| {
        let own = scope.strip_prefix(&prefix)?;
        own.split('.').next().map(str::to_owned)
    };
    let namespaces = netns::list().map_err(|source| FabricError::Namespace {
        attempt: "list",
        name: format!("{prefix}*"),
        source,
    })?;
    let namespaces = namespaces.into_iter().filter_map(|name| {
        Some(Sighting { instance: instance_of(&name)?, kind: SightingKind::Namespace, name })
    });
    let links = cable::host_links().await?.into_iter().filter_map(|(name, scope)| {
        Some(Sighting { instance: instance_of(&scope?)?, kind: SightingKind::Link, name })
    });
    Ok(namespaces.chain(links).collect())
}
