//! Events as typed facts: sent to subscribers, and kept in `events.jsonl`.
//!
//! [`Events::publish`] appends an event to the [`EventLog`] of the home as a [`Record`], which adds the time, the
//! process that caused it and the outcome, and then sends the event to all subscribers in this process.

mod log;
mod record;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Serialize, Serializer};
use tokio::sync::broadcast;

use crate::stage::Stage;

pub use log::{Batch, EventLog, EventLogError, Line, Reader};
pub use record::{Actor, EventOutcome, Record};

/// Something that happened. Events are published in the order in which they happen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all_fields = "camelCase")]
pub enum Event {
    /// An instance's name, subnet and CIDRs are recorded in the registry, on disk.
    InstanceClaimed {
        /// The instance's name.
        instance: String,
        /// The instance's subnet: `192.168.60.0/24`.
        subnet: String,
    },
    /// A stage has begun.
    StageStarted {
        /// The instance's name.
        instance: String,
        /// The stage.
        stage: Stage,
        /// The node, if this is the step of one node.
        node: Option<String>,
    },
    /// A stage has ended.
    StageCompleted {
        /// The instance's name.
        instance: String,
        /// The stage.
        stage: Stage,
        /// The node, if this was the step of one node.
        node: Option<String>,
        /// The duration of the stage, in the log in milliseconds.
        #[serde(rename = "tookMs", serialize_with = "milliseconds")]
        took: Duration,
        /// Why the stage failed. `None` if it succeeded.
        error: Option<String>,
    },
    /// The cluster works.
    ClusterUp {
        /// The instance's name.
        instance: String,
        /// The duration from the claim on, in the log in milliseconds.
        #[serde(rename = "tookMs", serialize_with = "milliseconds")]
        took: Duration,
    },
    /// The cluster works, but its context could not be added to the user's kubeconfig.
    KubeconfigNotMerged {
        /// The instance's name.
        instance: String,
        /// Why the kubeconfig could not be changed.
        error: String,
    },
    /// A worker has joined the cluster and is Ready.
    WorkerAdded {
        /// The instance's name.
        instance: String,
        /// The worker's name.
        node: String,
    },
    /// A worker was removed, with its objects in the cluster.
    WorkerRemoved {
        /// The instance's name.
        instance: String,
        /// The worker's name.
        node: String,
    },
    /// The instance is paused: its nodes keep their memory and get no CPU time.
    InstancePaused {
        /// The instance's name.
        instance: String,
    },
    /// The instance's paused nodes run again, and its API server answers.
    InstanceResumed {
        /// The instance's name.
        instance: String,
    },
    /// The instance is halted: its nodes are off and keep their disks.
    InstanceHalted {
        /// The instance's name.
        instance: String,
    },
    /// The instance's nodes have booted, and its API server answers.
    InstanceStarted {
        /// The instance's name.
        instance: String,
    },
    /// An operation on an instance begins although the identity of its cluster could not be checked.
    IdentityUnchecked {
        /// The instance's name.
        instance: String,
        /// Why the identity could not be checked. Mostly, the API server does not answer.
        why: String,
    },
    /// All certificates of the instance's nodes were renewed, and its kubeconfigs written again.
    CertificatesRenewed {
        /// The instance's name.
        instance: String,
    },
    /// kubectl's current context has changed.
    KubeconfigContextSwitched {
        /// The name of the instance of the new context.
        instance: String,
    },
    /// The host accepts certificates of the instance's authority.
    CaTrusted {
        /// The instance's name.
        instance: String,
        /// SHA-256 of the authority's certificate.
        fingerprint: String,
    },
    /// The host no longer accepts certificates of the instance's authority.
    CaRevoked {
        /// The instance's name.
        instance: String,
        /// SHA-256 of the authority's certificate.
        fingerprint: String,
    },
    /// The cluster was removed completely.
    ClusterDown {
        /// The instance's name.
        instance: String,
    },
    /// The instance's name, subnet and CIDRs are free again.
    InstanceReleased {
        /// The instance's name.
        instance: String,
    },
    /// The rules of the host guard had been changed, and were restored.
    GuardRestored {
        /// All instances of this home: they share the guard.
        instances: Vec<String>,
        /// The changes that were undone, in words.
        deviations: Vec<String>,
        /// How often the guard was restored since the last such event.
        times: u64,
    },
    /// The host guard refused attempts to leave an instance's network, or to enter it.
    CrossingRefused {
        /// The instance of the link. `None` if it does not belong to this home.
        instance: Option<String>,
        /// The link on the host: `hl-0123456789`.
        link: String,
        /// The first refused packet. `None` if the kernel does not report packets, or if there were too many kinds.
        #[serde(flatten)]
        crossing: Option<RefusedPacket>,
        /// The number of attempts of this kind since the last such event.
        attempts: u64,
    },
    /// An asset is being built.
    AssetStarted {
        /// The asset's name: `kubernetes v1.36.3`, `root file system`.
        asset: String,
        /// The number of the asset, from 1.
        step: usize,
        /// The number of all assets.
        of: usize,
    },
    /// An asset is in the cache.
    AssetCompleted {
        /// The asset's name, as in `AssetStarted`.
        asset: String,
        /// The number of the asset, from 1.
        step: usize,
        /// The number of all assets.
        of: usize,
        /// How long the build took.
        #[serde(rename = "tookMs", serialize_with = "milliseconds")]
        took: Duration,
        /// Whether the asset was in the cache already.
        cached: bool,
    },
}

/// The first packet of an attempt to leave an instance's network or to enter it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RefusedPacket {
    /// The source address.
    pub from: IpAddr,
    /// The node or pod with the source address, if known: `node acme-w-1`, `pod default/web on acme-w-1`.
    pub sender: Option<String>,
    /// The destination address.
    pub to: IpAddr,
    /// The owner of the destination address, if known: `gateway of acme`, `node globex-cp-1`.
    pub target: Option<String>,
    /// `tcp`, `udp`, `icmp`, or a number (IANA, "Protocol Numbers").
    pub protocol: String,
    /// The destination port. `None` for protocols other than TCP and UDP.
    pub port: Option<u16>,
}

fn milliseconds<S: Serializer>(took: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(took.as_millis()).unwrap_or(u64::MAX))
}

impl Event {
    /// The instances that the event is about. `None` for events about assets, which are only progress and are not kept.
    pub fn instances(&self) -> Option<Vec<String>> {
        match self {
            Self::InstanceClaimed { instance, .. }
            | Self::StageStarted { instance, .. }
            | Self::StageCompleted { instance, .. }
            | Self::ClusterUp { instance, .. }
            | Self::KubeconfigNotMerged { instance, .. }
            | Self::WorkerAdded { instance, .. }
            | Self::WorkerRemoved { instance, .. }
            | Self::InstancePaused { instance }
            | Self::InstanceResumed { instance }
            | Self::InstanceHalted { instance }
            | Self::InstanceStarted { instance }
            | Self::IdentityUnchecked { instance, .. }
            | Self::CertificatesRenewed { instance }
            | Self::KubeconfigContextSwitched { instance }
            | Self::CaTrusted { instance, .. }
            | Self::CaRevoked { instance, .. }
            | Self::ClusterDown { instance }
            | Self::InstanceReleased { instance } => Some(vec![instance.clone()]),
            Self::GuardRestored { instances, .. } => Some(instances.clone()),
            Self::CrossingRefused { instance, .. } => Some(instance.iter().cloned().collect()),
            Self::AssetStarted { .. } | Self::AssetCompleted { .. } => None,
        }
    }

    /// The outcome in the event's record.
    pub fn outcome(&self) -> EventOutcome {
        match self {
            Self::StageStarted { .. } => EventOutcome::Begun,
            Self::StageCompleted { error: Some(_), .. } | Self::KubeconfigNotMerged { .. } => {
                EventOutcome::Failed
            }
            _ => EventOutcome::Ok,
        }
    }
}

/// Publishes events. A clone publishes to the same subscribers and the same log.
#[derive(Debug, Clone)]
pub struct Events {
    sender: broadcast::Sender<Event>,
    log: Option<EventLog>,
    lost: Arc<Mutex<Option<EventLogError>>>,
}

impl Default for Events {
    /// Sends events to subscribers and keeps none.
    fn default() -> Self {
        Self { sender: broadcast::Sender::new(1024), log: None, lost: Arc::default() }
    }
}

impl Events {
    /// Sends events to subscribers and keeps them in a log.
    pub fn kept_in(log: EventLog) -> Self {
        Self { log: Some(log), ..Self::default() }
    }

    /// Writes an event to the log and sends it to all subscribers. Subscribers are not required.
    ///
    /// A log that cannot be written does not stop the operation, because the event has already happened.
    /// [`Events::lost`] returns the error.
    pub fn publish(&self, event: Event) {
        tracing::debug!(?event, "event");
        if let (Some(log), Some(record)) = (&self.log, Record::of(&event, Timestamp::now()))
            && let Err(error) = log.append(&record)
        {
            tracing::warn!(%error, ?event, "event is not written to the log");
            self.lost.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        }
        let _ = self.sender.send(event);
    }

    /// A receiver of all events from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.sender.subscribe()
    }

    /// The first error of writing to the log since the last call. `None` if all events were written.
    pub fn lost(&self) -> Option<EventLogError> {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
