//! What happened, as typed facts: whoever waits for a cluster subscribes here.

use std::time::Duration;

use serde::Serialize;
use tokio::sync::broadcast;

use crate::error::Stage;

/// A fact, in the order in which it happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event")]
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
        took: Duration,
        /// Whether it succeeded.
        ok: bool,
    },
    /// The cluster works and its kubeconfig is merged.
    ClusterUp {
        /// The instance's name.
        instance: String,
        /// From the claim on.
        took: Duration,
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
        took: Duration,
        /// It was in the cache already.
        cached: bool,
    },
}

/// Where events are published; a clone publishes to the same subscribers.
#[derive(Debug, Clone)]
pub struct Events {
    sender: broadcast::Sender<Event>,
}

impl Default for Events {
    fn default() -> Self {
        Self { sender: broadcast::Sender::new(1024) }
    }
}

impl Events {
    /// Tells all subscribers; that nobody listens is fine.
    pub fn publish(&self, event: Event) {
        tracing::debug!(?event, "event");
        let _ = self.sender.send(event);
    }

    /// A receiver of all events from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.sender.subscribe()
    }
}
