//! The networks of nodes that are containers, and the guard that keeps the host from bridging clients.
//!
//! Each instance has a network namespace with a bridge in it, the *switch*. Each node has a namespace whose `eth0` is
//! plugged into that bridge by a *cable* (veth pair), and one more cable leads to the host. No link leads from one
//! instance to another, and nodes have no default route: the isolation is structural. `guard` closes the ways that a
//! Linux host opens by default. This module does not know Kubernetes. Next in the flow: `engine::container` starts
//! nodes in these namespaces.

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
pub use guard::{
    Deviation, ExpectedGuard, FoundGuard, GuardedLink, Inspection, LOG_GROUP, Opening, Restoration,
};
pub use host::networks as host_networks;
pub use netns::path as namespace_path;
pub use routes::PROTOCOL as ROUTE_PROTOCOL;

/// Why namespaces, links, routes or the guard could not be made, read or removed.
#[derive(Debug, thiserror::Error)]
pub enum FabricError {
    /// A network namespace cannot be made, entered, listed or removed.
    #[error("{attempt} network namespace {name}")]
    Namespace {
        /// `make`, `enter`, `list`, `remove`.
        attempt: &'static str,
        /// The name of the namespace, such as `homelab-1a2b3c.acme`; `the host`.
        name: String,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// The kernel refuses a request for a link, an address or a route.
    #[error("{attempt} {object}")]
    Netlink {
        /// `add link`, `move link`, `add address` …
        attempt: &'static str,
        /// The object with its namespace, such as `uplink in homelab-1a2b3c.acme`.
        object: String,
        /// The kernel's answer.
        #[source]
        source: rtnetlink::Error,
    },
    /// A link that must exist does not.
    #[error("link {name} is missing in {place}")]
    Missing {
        /// The name of the link.
        name: String,
        /// The namespace in which it should be.
        place: String,
    },
    /// A kernel setting cannot be read or written.
    #[error("set {path}")]
    Sysctl {
        /// The file below `/proc/sys`.
        path: String,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// A lock file or its folder cannot be made or locked.
    #[error(transparent)]
    File(#[from] FileError),
    /// The host's name servers cannot be read.
    #[error("read the host's name servers in {path}")]
    NameServers {
        /// The file that lists them, such as `/etc/resolv.conf`.
        path: String,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// nft failed to set or list the guard's rules.
    #[error("set the host guard")]
    Guard(#[source] CommandError),
    /// The record of what the guard was built for cannot be read, written or removed.
    #[error("{attempt} the record of the host guard: {path}")]
    Record {
        /// `read`, `write`, `remove`.
        attempt: &'static str,
        /// The path of the record.
        path: String,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// The guard was built again, and still differs: another program changes it at the same time.
    #[error("restore the host guard: it still differs:{}", told(.deviations))]
    NotKept {
        /// The differences after the restoration.
        deviations: Vec<Deviation>,
    },
    /// The answer of nft has an unknown form.
    #[error("read the rules of the host guard: {answer}")]
    Answer {
        /// The whole answer.
        answer: String,
    },
}

fn told(deviations: &[Deviation]) -> String {
    deviations.iter().map(|deviation| format!("\n{deviation}")).collect()
}

/// Sets the kernel's settings of this link so that they close the ways that a Linux host opens by default. The guard
/// keeps these settings until the link is gone.
///
/// # Errors
/// [`FabricError::Sysctl`], also when the host has no such link.
pub async fn harden(link: &str) -> Result<(), FabricError> {
    let _lock = guard::lock().await?;
    guard::close(link)
}

/// Compares the guard with what was built. `None` if the host has no link of ours, so that no guard is needed. `pools`
/// are those of the caller's home; they are used if no record of the guard exists. Changes nothing. Without root, the
/// rules are not read.
///
/// # Errors
/// [`FabricError`] when the host cannot be asked.
pub async fn look_at_guard(
    pools: &[Ipv4Net],
    runner: &dyn Runner,
) -> Result<Option<Inspection>, FabricError> {
    guard::look(pools, runner).await
}

/// The guard as it must be on this host, for a caller that reads the host itself; `None` if the host has no link of
/// ours. Needs root. `pools` are those of the caller's home; they are used if no record of the guard exists.
///
/// # Errors
/// [`FabricError`] when the host cannot be asked.
pub async fn expected_guard(
    pools: &[Ipv4Net],
    runner: &dyn Runner,
) -> Result<Option<ExpectedGuard>, FabricError> {
    guard::expected(pools, runner).await
}

/// Whether the kernel's settings of all links of ours have the values that [`harden`] sets. Reads a few files and
/// starts no process.
///
/// # Errors
/// [`FabricError`] when a setting cannot be read.
pub(crate) fn has_closed_settings() -> Result<bool, FabricError> {
    guard::has_closed_settings()
}

/// The count of packets that the guard has refused since its rules were loaded, by link. Needs root.
///
/// # Errors
/// [`FabricError`] when nft fails or its answer cannot be parsed.
pub(crate) async fn refused_packets(runner: &dyn Runner) -> Result<BTreeMap<String, u64>, FabricError> {
    guard::refused_packets(runner).await
}

/// The name of the host's link with this index; `None` if there is none.
pub(crate) async fn link_name(index: u32) -> Option<String> {
    cable::link_of_index(index).await.ok().flatten()
}

/// Restores the guard if it differs from what was built. Needs root.
///
/// # Errors
/// [`FabricError`] when the guard cannot be read or restored.
pub async fn keep_guard(pools: &[Ipv4Net], runner: &dyn Runner) -> Result<Restoration, FabricError> {
    guard::keep(pools, runner).await
}

/// Sets the guard before a hypervisor makes links. The rules cover links with our prefix by themselves; `links` are
/// those that the rules have to name, and they keep these until the links are gone. May be repeated.
///
/// # Errors
/// [`FabricError`]; the caller must not have the links made then.
pub async fn guard(pools: &[Ipv4Net], links: &[GuardedLink], runner: &dyn Runner) -> Result<(), FabricError> {
    let _lock = guard::lock().await?;
    guard::raise(pools, links, runner).await
}

/// Waits for the lock under which one process of this host at a time changes the adapters that VirtualBox names. The
/// kernel frees the lock when its holder ends.
pub(crate) async fn adapters_lock() -> Result<Lock, FabricError> {
    guard::hold("/run/homelab/virtualbox.lock").await
}

/// Removes the guard if no link is left that it covers. Otherwise it only removes the links that are gone from the
/// rules and the record.
///
/// # Errors
/// [`FabricError`]; the guard may still exist, until this is repeated.
pub async fn lower(runner: &dyn Runner) -> Result<(), FabricError> {
    let _lock = guard::lock().await?;
    guard::lower_behind_the_last(runner).await
}

/// Makes all namespaces and cables of a plan. May be repeated: it adds those that are missing.
///
/// The guard is set before the first cable reaches the host.
///
/// # Errors
/// [`FabricError`]; the namespaces and cables made so far stay, and [`cut`] removes them.
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

/// Removes all namespaces and cables of an instance, as far as they exist, and the guard after the last link of the
/// host. Returns whether there was a namespace.
///
/// # Errors
/// The errors of all steps that failed; the other steps were done.
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

/// Removes the cable and the namespace of one node, as far as they exist. Other nodes keep theirs. Returns whether
/// there was such a namespace.
///
/// # Errors
/// The errors of all steps that failed; the other steps were done.
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

/// The namespaces and host links of a home's instances that exist on the host.
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
