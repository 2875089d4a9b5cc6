//! Applies injections: makes each leak for real, on the host, in links, nodes and control planes of test clusters.
//!
//! [`open`] applies an [`Injection`] and returns a value that reverts it. Each undo is pushed before its change, so
//! that a panic, a signal or an error half-way leaves nothing; what SIGKILL leaves is removed with the clusters. One
//! injection changes only the facts that the audit has collected: see [`Applied::change_facts`]. This module does not
//! know how a leak is found.

mod changes;
mod switch;
mod cable;
mod forward;
mod host;
mod bind_mount;
mod vms;
mod port;
mod access;
mod name_server;
mod control;
mod authority;
mod node;
mod hidden;
mod router;
mod device;
pub(super) mod drawn;

use std::net::Ipv4Addr;

use provisioner::Provisioner;
use provisioner::exec::CommandError;
use provisioner::fabric::FabricError;

use super::class::Injection;
use super::subject::{Subject, Uplink};
use crate::cluster::{ClusterError, TestCluster};
use crate::undo::Left;
use crate::wait::WaitError;

pub(super) use access::Access;
use changes::Changes;

/// The two clusters of an injection: after it, `from` reaches `to`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pair<'a> {
    pub(super) provisioner: &'a Provisioner,
    /// The source: the cluster that reaches the other one.
    pub(super) from: &'a TestCluster,
    /// The audit's facts about `from`.
    pub(super) source: &'a Subject,
    /// The target: the cluster that is reached.
    pub(super) to: &'a TestCluster,
    /// The audit's facts about `to`.
    pub(super) target: &'a Subject,
    /// The namespace of the audit, the same in both clusters.
    pub(super) namespace: &'a str,
}

impl<'a> Pair<'a> {
    /// The host's end of the source's network.
    fn source_uplink(&self) -> Result<&'a Uplink, InjectError> {
        uplink(self.source)
    }

    /// The host's end of the target's network.
    fn target_uplink(&self) -> Result<&'a Uplink, InjectError> {
        uplink(self.target)
    }

    /// The address of the target's API server.
    fn target_api(&self) -> Ipv4Addr {
        self.to.inner().plan.api_address
    }
}

fn uplink(of: &Subject) -> Result<&Uplink, InjectError> {
    let missing = || InjectError::Missing { what: "a network on this host", cluster: of.name.clone() };
    of.uplink.as_ref().ok_or_else(missing)
}

/// Why an injection could not be applied or reverted.
#[derive(Debug, thiserror::Error)]
pub enum InjectError {
    /// A command on the host or on a node failed.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// The host guard could not be changed or restored.
    #[error("change the host guard")]
    Guard(#[source] FabricError),
    /// A file of the host could not be read or written.
    #[error("change {path}")]
    File {
        /// The file's path.
        path: String,
        /// The system's error.
        #[source]
        source: std::io::Error,
    },
    /// A folder or file of one node could not be mounted in another.
    #[error("mount {what} of {from} in {to}")]
    BindMount {
        /// The path on the first node.
        what: String,
        /// The node that has the path.
        from: String,
        /// The node that gets the mount.
        to: String,
        /// The system's error.
        #[source]
        source: std::io::Error,
    },
    /// A request to an API server failed.
    #[error("{attempt} in {cluster}")]
    Api {
        /// The attempt and its object: `create a bootstrap token`.
        attempt: &'static str,
        /// The cluster's name.
        cluster: String,
        /// The API server's answer.
        #[source]
        source: Box<kube::Error>,
    },
    /// No API client can be made for a cluster.
    #[error(transparent)]
    Connect(#[from] ClusterError),
    /// The cross-signed certificate could not be made.
    #[error("cross-sign a certificate")]
    Sign(#[source] rcgen::Error),
    /// The cluster does not have what the injection needs.
    #[error("{what} is missing in {cluster}")]
    Missing {
        /// The missing thing: `a bootstrap token`.
        what: &'static str,
        /// The cluster's name.
        cluster: String,
    },
    /// A cable does not forward frames, or a VM does not see a new device, within the deadline.
    #[error("wait for the injected link or device")]
    Carrier(#[source] Box<WaitError<InjectError>>),
    /// What a proof of a drawn leak needed could not be removed.
    #[error("remove what a proof needed")]
    Attempt {
        /// The changes that could not be undone.
        #[source]
        left: Left,
    },
    /// A server did not accept or refuse requests as expected within the deadline.
    #[error("wait for a server of {cluster}")]
    Access {
        /// The cluster's name.
        cluster: String,
        /// The time-out with the server's last answer.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// An applied injection. `Drop` reverts it.
#[derive(Debug)]
pub(super) struct Applied {
    changes: Changes,
    change_facts: Option<Injection>,
}

impl Applied {
    /// Reverts the injection.
    ///
    /// # Errors
    /// [`Left`] with the changes that could not be undone.
    pub(super) async fn revert(self) -> Result<(), Left> {
        self.changes.undo().await
    }

    /// Changes the facts that the audit has collected, for the injections that consist of that. Nothing is changed on
    /// the host.
    pub(super) fn change_facts(&self, subjects: &mut [Subject], from: &str, to: &str) {
        let source = subjects.iter().find(|subject| subject.name == from).cloned();
        let target = subjects.iter_mut().find(|subject| subject.name == to);
        let (Some(source), Some(target)) = (source, target) else { return };
        if self.change_facts == Some(Injection::SameNetwork) {
            target.pod_cidrs = source.pod_cidrs;
        }
    }
}

/// Applies an injection.
///
/// # Errors
/// [`InjectError`]; the changes made until then are reverted.
pub(super) async fn apply(injection: Injection, pair: &Pair<'_>) -> Result<Applied, InjectError> {
    let mut changes = Changes::on(pair);
    let change_facts = matches!(injection, Injection::SameNetwork).then_some(injection);
    match perform(injection, pair, &mut changes).await {
        Ok(()) => Ok(Applied { changes, change_facts }),
        Err(error) => {
            drop(changes.undo().await); // report the first error, not those of the undo
            Err(error)
        }
    }
}

async fn perform(injection: Injection, pair: &Pair<'_>, changes: &mut Changes) -> Result<(), InjectError> {
    let of_vms = pair.from.inner().plan.engine.is_virtual();
    match injection {
        Injection::SharedBridge => cable::join(pair, changes, "").await,
        Injection::SharedIpv6 => cable::join(pair, changes, cable::ONLY_IPV6).await,
        Injection::SharedGroups => cable::join(pair, changes, cable::ONLY_GROUPS).await,
        Injection::SharedDhcp => cable::join(pair, changes, cable::ONLY_DHCP).await,
        Injection::SharedEtherType => cable::join(pair, changes, cable::ONLY_AN_ETHER_TYPE).await,
        Injection::ExtraLink => cable::extra_link(pair, changes).await,
        Injection::SameMac => cable::same_mac(pair, changes).await,
        Injection::ProxyArp => host::proxy_arp(pair, changes).await,
        Injection::ForwardIcmp => forward::open(pair, changes, "meta l4proto icmp").await,
        Injection::ForwardIpv6 => forward::open_ipv6(pair, changes).await,
        Injection::ForwardTcp => forward::open(pair, changes, "tcp dport 7001").await,
        Injection::ForwardClosed => forward::open(pair, changes, "tcp dport 7009").await,
        Injection::ForwardUdp => forward::open(pair, changes, "udp dport 7002").await,
        Injection::ForwardOneWay => forward::one_way(pair, changes).await,
        Injection::ForwardRaw => forward::open(pair, changes, "meta l4proto != { tcp, udp, icmp }").await,
        Injection::ForwardEstablished => forward::established(pair, changes).await,
        Injection::ForwardLarge => forward::open(pair, changes, "meta length >= 1000").await,
        Injection::Masquerade => forward::open(pair, changes, "").await,
        Injection::ForwardPort => forward::open(pair, changes, "tcp dport 9100").await,
        Injection::ForwardOverlay => forward::open(pair, changes, "udp dport { 4789, 6081, 8472 }").await,
        Injection::ForwardPods => forward::pods(pair, changes).await,
        Injection::ForwardNodePorts => forward::open(pair, changes, "tcp dport 30000-32767").await,
        Injection::ForwardUdpPort => forward::open(pair, changes, "udp dport 53").await,
        Injection::ForwardApi => forward::open(pair, changes, "tcp dport 6443").await,
        Injection::WeakHost => host::weak(pair, changes).await,
        Injection::OpenInput => host::open_input(pair, changes).await,
        Injection::PublishPort => host::publish_port(pair, changes).await,
        Injection::RouteLocalnet => host::route_localnet(pair, changes).await,
        Injection::Metadata => host::metadata(pair, changes).await,
        Injection::LeftLink => host::link(changes, "left0").await,
        Injection::Stray => host::stray(pair, changes).await,
        Injection::SharedMount if of_vms => vms::mount(pair, changes).await,
        Injection::SharedSocket if of_vms => port::line(pair, changes).await,
        Injection::SharedProcess if of_vms => vms::kernel(pair, changes).await,
        Injection::SharedStore if of_vms => vms::disk(pair, changes).await,
        Injection::SharedMount => node::shared_mount(pair, changes).await,
        Injection::SharedSocket => node::shared_socket(pair, changes).await,
        Injection::SharedProcess => node::shared_process(pair, changes).await,
        Injection::SharedManagement => cable::join_managements(pair, changes).await,
        Injection::NatPivot => forward::pivot(pair, changes).await,
        Injection::ForeignKey => vms::key(pair, changes).await,
        Injection::SameMachineId => node::same_machine_id(pair, changes).await,
        Injection::SharedStore => node::shared_store(pair, changes),
        Injection::LeakedSecret => node::leaked_secret(pair, changes).await,
        Injection::ForeignNames => control::foreign_names(pair, changes).await,
        Injection::ForeignClients => authority::foreign_clients(pair, changes).await,
        Injection::ForeignTokens => control::foreign_tokens(pair, changes).await,
        Injection::ForeignBootstrap => control::foreign_bootstrap(pair, changes).await,
        Injection::ForeignServer => control::foreign_server(pair, changes).await,
        Injection::ForeignAuthority => authority::foreign_authority(pair, changes).await,
        Injection::SwappedContext => control::swapped_context(pair, changes),
        Injection::AnonymousKubelet => control::anonymous_kubelet(pair, changes).await,
        Injection::OpenGuard => hidden::open_guard(pair, changes).await,
        Injection::DeadCable => cable::join(pair, changes, cable::NOTHING).await,
        Injection::HiddenLink => hidden::link(pair, changes).await,
        Injection::HiddenAddress => hidden::address(pair, changes).await,
        Injection::ProxyNeighbour => hidden::proxy_neighbour(pair, changes).await,
        Injection::MirroredLink => hidden::mirrored_link(pair, changes).await,
        Injection::PlantedProcess => hidden::planted_process(pair, changes).await,
        Injection::Relay => hidden::relay(pair, changes).await,
        Injection::HiddenNat => hidden::nat(pair, changes).await,
        Injection::HiddenMount => hidden::mount(pair, changes).await,
        Injection::HiddenCgroup => hidden::cgroup(pair, changes).await,
        Injection::CopiedFrames => cable::copy(pair, changes, cable::EVERY_TCP).await,
        Injection::SecondRouter => router::between(pair, changes).await,
        Injection::LoopDevice => device::injected(pair, changes).await,
        Injection::SameNetwork => Ok(()), // changes facts only: see `Applied::change_facts`
        Injection::OldData | Injection::RestartOther => Ok(()), // with a third instance: see `self_test`
    }
}

/// The three networks of a cluster, as the elements of an nftables set. Pure.
fn networks(of: &TestCluster) -> String {
    let plan = &of.inner().plan;
    [plan.subnet, plan.pod_cidr, plan.service_cidr].map(|net| net.to_string()).join(", ")
}
