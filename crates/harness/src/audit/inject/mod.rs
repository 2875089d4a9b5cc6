//! Opens each leak on purpose, for real: on the host, in the wires, in nodes and control planes that may be thrown away.
//!
//! [`open`] does what an [`Injection`] names and returns what takes it back. The way back is pushed before the deed, so
//! that a panic, a signal or an error half-way leaves nothing; what SIGKILL leaves goes with the clusters. Three
//! injections change what is known, not what is there: [`Opened::twist`] is for those.

mod deeds;
mod switch;
mod cable;
mod forward;
mod host;
mod graft;
mod node;
mod machines;
mod port;
mod door;
mod known;
mod control;

use ipnet::Ipv4Net;
use provisioner::Provisioner;
use provisioner::exec::CommandError;
use provisioner::fabric::FabricError;

use super::class::Injection;
use super::subject::{AuthorityRole, Subject};
use crate::cluster::{ClusterError, TestCluster};
use crate::undo::Left;
use crate::wait::WaitError;

use deeds::Deeds;
pub(super) use door::Door;

/// Two clusters of which one is opened to the other.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ground<'a> {
    pub(super) provisioner: &'a Provisioner,
    /// Who reaches what it must not.
    pub(super) from: &'a TestCluster,
    /// What the audit knows of it.
    pub(super) source: &'a Subject,
    /// Who is reached.
    pub(super) to: &'a TestCluster,
    /// What the audit knows of it.
    pub(super) target: &'a Subject,
    /// The namespace of the audit in both.
    pub(super) namespace: &'a str,
}

/// Why a leak could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum InjectError {
    /// A command on the host or on a node.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// The host guard.
    #[error("open the host guard")]
    Guard(#[source] FabricError),
    /// A file of the host.
    #[error("change {path}")]
    File {
        /// Which.
        path: String,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// Mounts of one node in another.
    #[error("mount {what} of {from} in {to}")]
    Graft {
        /// What was mounted.
        what: String,
        /// Whose.
        from: String,
        /// Where.
        to: String,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// An API server refused.
    #[error("{attempt} in {cluster}")]
    Api {
        /// `make the token secret`.
        attempt: &'static str,
        /// Where.
        cluster: String,
        /// What it says.
        #[source]
        source: Box<kube::Error>,
    },
    /// A cluster cannot be connected to.
    #[error(transparent)]
    Connect(#[from] ClusterError),
    /// A certificate could not be made.
    #[error("sign a certificate across")]
    Sign(#[source] rcgen::Error),
    /// What the leak needs is not there.
    #[error("{what} is missing in {cluster}")]
    Missing {
        /// What.
        what: &'static str,
        /// Where.
        cluster: String,
    },
    /// A cable is plugged in, and nothing goes through it.
    #[error("wait for the cable")]
    Carrier(#[source] Box<WaitError<InjectError>>),
    /// The server does not do what it was told to.
    #[error("open the door of {cluster}")]
    Door {
        /// Whose.
        cluster: String,
        /// What it did instead.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// An open leak. Dropped, it closes.
#[derive(Debug)]
pub(super) struct Opened {
    deeds: Deeds,
    twist: Option<Injection>,
}

impl Opened {
    /// Closes it.
    pub(super) async fn close(self) -> Result<(), Left> {
        self.deeds.undo().await
    }

    /// Changes what is known, where that is the leak.
    pub(super) fn twist(&self, subjects: &mut [Subject], from: &str, to: &str) {
        let source = subjects.iter().find(|subject| subject.name == from).cloned();
        let target = subjects.iter_mut().find(|subject| subject.name == to);
        let (Some(source), Some(target)) = (source, target) else { return };
        match self.twist {
            Some(Injection::SameNetwork) => target.pod_cidr = source.pod_cidr,
            Some(Injection::SameAuthority) => {
                let proxy = |of: &Subject| {
                    let mut known = of.authorities.iter().flatten();
                    known.find(|authority| authority.role == AuthorityRole::FrontProxy).cloned()
                };
                let theirs = target.authorities.iter_mut().flatten();
                let theirs = theirs.filter(|authority| authority.role == AuthorityRole::FrontProxy);
                theirs.zip(proxy(&source)).for_each(|(theirs, ours)| *theirs = ours);
            }
            _ => {}
        }
    }
}

/// Opens a leak.
pub(super) async fn open(injection: Injection, ground: &Ground<'_>) -> Result<Opened, InjectError> {
    let mut deeds = Deeds::on(ground);
    let twist = matches!(injection, Injection::SameNetwork | Injection::SameAuthority).then_some(injection);
    match perform(injection, ground, &mut deeds).await {
        Ok(()) => Ok(Opened { deeds, twist }),
        Err(error) => {
            drop(deeds.undo().await); // the first error tells more
            Err(error)
        }
    }
}

async fn perform(injection: Injection, ground: &Ground<'_>, deeds: &mut Deeds) -> Result<(), InjectError> {
    let of_machines = ground.from.inner().plan.engine.is_virtual();
    match injection {
        Injection::SharedBridge => cable::join(ground, deeds, "").await,
        Injection::SharedIpv6 => cable::join(ground, deeds, cable::ONLY_IPV6).await,
        Injection::SharedGroups => cable::join(ground, deeds, cable::ONLY_GROUPS).await,
        Injection::SharedDhcp => cable::join(ground, deeds, cable::ONLY_DHCP).await,
        Injection::ExtraLink => cable::extra_link(ground, deeds).await,
        Injection::SameMac => cable::same_mac(ground, deeds).await,
        Injection::ProxyArp => host::proxy_arp(ground, deeds).await,
        Injection::ForwardIcmp => forward::open(ground, deeds, "meta l4proto icmp").await,
        Injection::ForwardTcp => forward::open(ground, deeds, "tcp dport 7001").await,
        Injection::ForwardClosed => forward::open(ground, deeds, "tcp dport 7009").await,
        Injection::ForwardUdp => forward::open(ground, deeds, "udp dport 7002").await,
        Injection::ForwardOneWay => forward::one_way(ground, deeds).await,
        Injection::ForwardRaw => forward::open(ground, deeds, "meta l4proto != { tcp, udp, icmp }").await,
        Injection::ForwardEstablished => forward::established(ground, deeds).await,
        Injection::ForwardLarge => forward::open(ground, deeds, "meta length >= 1000").await,
        Injection::Masquerade => forward::open(ground, deeds, "").await,
        Injection::ForwardPort => forward::open(ground, deeds, "tcp dport 9100").await,
        Injection::ForwardOverlay => forward::open(ground, deeds, "udp dport { 4789, 6081, 8472 }").await,
        Injection::ForwardPods => forward::pods(ground, deeds).await,
        Injection::ForwardNodePorts => forward::open(ground, deeds, "tcp dport 30000-32767").await,
        Injection::ForwardApi => forward::open(ground, deeds, "tcp dport 6443").await,
        Injection::WeakHost => host::weak(ground, deeds).await,
        Injection::OpenInput => host::open_input(ground, deeds).await,
        Injection::PublishPort => host::publish_port(ground, deeds).await,
        Injection::RouteLocalnet => host::route_localnet(ground, deeds).await,
        Injection::Metadata => host::metadata(ground, deeds).await,
        Injection::LeftLink => host::link(deeds, "left0").await,
        Injection::Stray => host::stray(ground, deeds).await,
        Injection::SharedMount if of_machines => machines::mount(ground, deeds).await,
        Injection::SharedSocket if of_machines => port::line(ground, deeds).await,
        Injection::SharedProcess if of_machines => machines::kernel(ground, deeds).await,
        Injection::SharedStore if of_machines => machines::disk(ground, deeds).await,
        Injection::SharedMount => node::shared_mount(ground, deeds).await,
        Injection::SharedSocket => node::shared_socket(ground, deeds).await,
        Injection::SharedProcess => node::shared_process(ground, deeds).await,
        Injection::SharedManagement => cable::join_managements(ground, deeds).await,
        Injection::NatPivot => forward::pivot(ground, deeds).await,
        Injection::ForeignKey => machines::key(ground, deeds).await,
        Injection::SameMachineId => node::same_machine_id(ground, deeds).await,
        Injection::SharedStore => node::shared_store(ground, deeds),
        Injection::LeakedSecret => node::leaked_secret(ground, deeds).await,
        Injection::ForeignNames => control::foreign_names(ground, deeds).await,
        Injection::ForeignClients => control::foreign_clients(ground, deeds).await,
        Injection::ForeignTokens => control::foreign_tokens(ground, deeds).await,
        Injection::ForeignBootstrap => control::foreign_bootstrap(ground, deeds).await,
        Injection::ForeignServer => control::foreign_server(ground, deeds).await,
        Injection::SwappedContext => control::swapped_context(ground, deeds),
        Injection::AnonymousKubelet => control::anonymous_kubelet(ground, deeds).await,
        Injection::SameNetwork | Injection::SameAuthority => Ok(()), // see `Opened::twist`
        Injection::OldData | Injection::RestartOther => Ok(()), // see `self_test`: they take a destruction
    }
}

/// The three networks of an instance, as nftables takes a set.
fn networks(of: &Subject) -> String {
    let all: [Ipv4Net; 3] = [of.subnet, of.pod_cidr, of.service_cidr];
    all.map(|net| net.to_string()).join(", ")
}
