//! What happened, as typed facts: heard by whoever waits for them, and kept in `events.jsonl`.
//!
//! [`Events::publish`] appends the fact to the [`EventLog`] of the home as a [`Record`], which says as well when it
//! happened, who did it and how it ended, and then tells all subscribers in this process.

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
pub use record::{Actor, Outcome, Record};

/// A fact, in the order in which it happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all_fields = "camelCase")]
pub enum Event {
    /// A name, a subnet and its CIDRs are ours, on disk.
    InstanceClaimed {
        /// The instance's name.
        instance: String,
        /// Its subnet.
        subnet: String,
    },
    /// A stage has begun.
    StageStarted {
        /// The instance's name.
        instance: String,
        /// The stage.
        stage: Stage,
        /// The node it works on, where it is one node's own step.
        node: Option<String>,
    },
    /// A stage has ended.
    StageCompleted {
        /// The instance's name.
        instance: String,
        /// The stage.
        stage: Stage,
        /// The node it worked on, where it was one node's own step.
        node: Option<String>,
        /// How long it took.
        #[serde(rename = "tookMs", serialize_with = "milliseconds")]
        took: Duration,
        /// Why it failed, if it did.
        error: Option<String>,
    },
    /// The cluster works.
    ClusterUp {
        /// The instance's name.
        instance: String,
        /// From the claim on.
        #[serde(rename = "tookMs", serialize_with = "milliseconds")]
        took: Duration,
    },
    /// The cluster works, and its context could not be put into the user's kubeconfig.
    KubeconfigNotMerged {
        /// The instance's name.
        instance: String,
        /// Why.
        error: String,
    },
    /// A worker belongs to the cluster, and is Ready.
    WorkerAdded {
        /// The instance's name.
        instance: String,
        /// The worker.
        node: String,
    },
    /// Nothing of a worker is left.
    WorkerRemoved {
        /// The instance's name.
        instance: String,
        /// The worker.
        node: String,
    },
    /// Its nodes keep their memory and get no processor.
    InstancePaused {
        /// The instance's name.
        instance: String,
    },
    /// Its nodes went on, and its API server answers.
    InstanceResumed {
        /// The instance's name.
        instance: String,
    },
    /// Its nodes are off and keep their disks.
    InstanceHalted {
        /// The instance's name.
        instance: String,
    },
    /// Its nodes booted, and its API server answers.
    InstanceStarted {
        /// The instance's name.
        instance: String,
    },
    /// Something is done to an instance whose cluster was not compared with what was recorded of it.
    IdentityUnchecked {
        /// The instance's name.
        instance: String,
        /// Why it could not be compared: above all, nobody answers.
        why: String,
    },
    /// All certificates of its nodes were issued anew, and its kubeconfigs with them.
    CertificatesRenewed {
        /// The instance's name.
        instance: String,
    },
    /// kubectl's current context is another one now.
    KubeconfigContextSwitched {
        /// The instance that it leads to.
        instance: String,
    },
    /// The host accepts certificates of the instance's authority.
    CaTrusted {
        /// The instance's name.
        instance: String,
        /// SHA-256 of the authority's certificate.
        fingerprint: String,
    },
    /// The host accepts them no longer.
    CaRevoked {
        /// The instance's name.
        instance: String,
        /// SHA-256 of the authority's certificate.
        fingerprint: String,
    },
    /// Nothing of the cluster is left.
    ClusterDown {
        /// The instance's name.
        instance: String,
    },
    /// The name, the subnet and the CIDRs are free again.
    InstanceReleased {
        /// The instance's name.
        instance: String,
    },
    /// The host guard did not stand as it was built, and was put back.
    GuardRestored {
        /// The instances of this home: the guard is one for all.
        instances: Vec<String>,
        /// What differed, in words.
        deviations: Vec<String>,
        /// How often it was put back since the last such event.
        times: u64,
    },
    /// The host guard refused attempts to leave an instance's network, or to enter it.
    CrossingRefused {
        /// The instance whose link it was, if it is one of this home.
        instance: Option<String>,
        /// The link on the host.
        link: String,
        /// What was attempted, where the kernel reports that and it is not one of too many.
        #[serde(flatten)]
        crossing: Option<Crossing>,
        /// How many attempts of this kind there were since the last such event.
        attempts: u64,
    },
    /// An asset is being built.
    AssetStarted {
        /// `kubernetes v1.36.3`, `root file system`.
        asset: String,
        /// Which of `of`, from 1.
        step: usize,
        /// How many there are in all.
        of: usize,
    },
    /// An asset is there.
    AssetCompleted {
        /// Its name, as in `AssetStarted`.
        asset: String,
        /// Which of `of`, from 1.
        step: usize,
        /// How many there are in all.
        of: usize,
        /// How long it took.
        #[serde(rename = "tookMs", serialize_with = "milliseconds")]
        took: Duration,
        /// It was in the cache already.
        cached: bool,
    },
}

/// An attempt to leave an instance's network or to enter it, as far as its first packet says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Crossing {
    /// Where it came from.
    pub from: IpAddr,
    /// The node or the pod that has this address, where it is known: `node acme-w-1`, `pod default/web on acme-w-1`.
    pub sender: Option<String>,
    /// Where it was to go.
    pub to: IpAddr,
    /// What has that address, where it is known: `gateway of acme`, `node globex-cp-1`.
    pub target: Option<String>,
    /// `tcp`, `udp`, `icmp`, or a number (IANA, "Protocol Numbers").
    pub protocol: String,
    /// The destination port of tcp and udp.
    pub port: Option<u16>,
}

fn milliseconds<S: Serializer>(took: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(took.as_millis()).unwrap_or(u64::MAX))
}

impl Event {
    /// The instances that it is about; none for the building of assets, which is progress and changes no state.
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

    /// How it ended.
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::StageStarted { .. } => Outcome::Begun,
            Self::StageCompleted { error: Some(_), .. } | Self::KubeconfigNotMerged { .. } => Outcome::Failed,
            _ => Outcome::Ok,
        }
    }
}

/// Where events are published; a clone publishes to the same subscribers and the same log.
#[derive(Debug, Clone)]
pub struct Events {
    sender: broadcast::Sender<Event>,
    log: Option<EventLog>,
    lost: Arc<Mutex<Option<EventLogError>>>,
}

impl Default for Events {
    /// Events that are heard and not kept.
    fn default() -> Self {
        Self { sender: broadcast::Sender::new(1024), log: None, lost: Arc::default() }
    }
}

impl Events {
    /// Events that are kept in a log as well.
    pub fn kept_in(log: EventLog) -> Self {
        Self { log: Some(log), ..Self::default() }
    }

    /// Keeps an event and tells all subscribers; that nobody listens is fine.
    ///
    /// What happened has happened: a log that cannot be written stops nothing, and is told by [`Events::lost`].
    pub fn publish(&self, event: Event) {
        tracing::debug!(?event, "event");
        if let (Some(log), Some(record)) = (&self.log, Record::of(&event, Timestamp::now()))
            && let Err(error) = log.append(&record)
        {
            tracing::warn!(%error, ?event, "event is not kept");
            self.lost.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        }
        let _ = self.sender.send(event);
    }

    /// A receiver of all events from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.sender.subscribe()
    }

    /// Why events were not kept, the first time that it happened since the last question.
    pub fn lost(&self) -> Option<EventLogError> {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
