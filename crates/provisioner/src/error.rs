//! What can go wrong on the way from a spec to a cluster, at which stage, and what it left behind.

use std::fmt;

use serde::Serialize;

use crate::assets::AssetsError;
use crate::capacity::CapacityError;
use crate::cni::CniError;
use crate::dns::DnsError;
use crate::engine::EngineError;
use crate::identity::IdentityError;
use crate::kubeadm::KubeadmError;
use crate::kubeconfig::KubeconfigError;
use crate::pki::PkiError;
use crate::provision::Removed;
use crate::registry::RegistryError;
use crate::tls::TlsError;
use crate::trust::TrustError;

/// A stage of the flow, in its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Name, subnet and CIDRs are recorded.
    Claim,
    /// Its names resolve on this host.
    Names,
    /// The node image is there.
    Assets,
    /// Machines and their network exist.
    Nodes,
    /// Pods have a network to come up in.
    Network,
    /// Certificate authorities exist.
    Authorities,
    /// The control plane answers.
    Init,
    /// Workers belong to the cluster.
    Join,
    /// All nodes and the cluster's DNS are ready.
    Ready,
    /// Credentials are on the workstation.
    Kubeconfig,
    /// Pods move away from a worker.
    Drain,
    /// Workers are taken away.
    Leave,
    /// Everything is taken away again.
    Destroy,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Claim => "claim",
            Self::Names => "names",
            Self::Assets => "assets",
            Self::Nodes => "nodes",
            Self::Authorities => "authorities",
            Self::Init => "init",
            Self::Network => "network",
            Self::Join => "join",
            Self::Ready => "ready",
            Self::Kubeconfig => "kubeconfig",
            Self::Drain => "drain",
            Self::Leave => "leave",
            Self::Destroy => "destroy",
        })
    }
}

/// What a failure left on the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Residue {
    /// Nothing: the failure came before anything was made.
    Nothing,
    /// The registry knows the instance: `down` or `reap` will finish.
    Recorded,
    /// It could not be recorded what is left.
    Unknown,
}

/// A cluster that did not come up.
#[derive(Debug, thiserror::Error)]
#[error("bring up {cluster}: stage {stage}")]
pub struct ProvisionError {
    /// The instance's name.
    pub cluster: String,
    /// Where it failed.
    pub stage: Stage,
    /// What is left.
    pub residue: Residue,
    /// Why.
    #[source]
    pub source: StageError,
}

/// Why a stage failed.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// The room on this machine.
    #[error(transparent)]
    Capacity(#[from] CapacityError),
    /// The plan.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The names on this host.
    #[error(transparent)]
    Dns(#[from] DnsError),
    /// The node image.
    #[error(transparent)]
    Assets(#[from] AssetsError),
    /// The machines.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The certificate authorities.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// The instance's own authority.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The host's trust in it.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// kubeadm's own steps, and waiting for what they start.
    #[error(transparent)]
    Kubeadm(#[from] KubeadmError),
    /// The pod network.
    #[error(transparent)]
    Cni(#[from] CniError),
    /// Credentials on the workstation.
    #[error(transparent)]
    Kubeconfig(#[from] KubeconfigError),
    /// It is another cluster than the one that is meant.
    #[error(transparent)]
    Identity(#[from] IdentityError),
}

impl ProvisionError {
    /// What to type next.
    pub fn hint(&self) -> Option<String> {
        let cause = match &self.source {
            StageError::Capacity(error) => error.hint(),
            StageError::Registry(error) => error.hint(),
            StageError::Dns(error) => error.hint(),
            StageError::Assets(error) => error.hint(),
            StageError::Kubeconfig(error) => error.hint(),
            StageError::Identity(error) => error.hint(),
            StageError::Engine(error) => error.hint(),
            StageError::Tls(error) => error.hint(),
            StageError::Trust(error) => error.hint(),
            StageError::Pki(_) | StageError::Kubeadm(_) | StageError::Cni(_) => None,
        };
        cause.or_else(|| match self.residue {
            Residue::Nothing => None,
            Residue::Recorded => Some(format!("`homelab down {}` removes what was made", self.cluster)),
            Residue::Unknown => Some("`homelab reap` removes what no instance explains".to_owned()),
        })
    }
}

/// A cluster that did not go away entirely: each step was tried on its own.
#[derive(Debug, thiserror::Error)]
#[error("take down {cluster}: {}", chained(.failures))]
pub struct DestroyError {
    /// The instance's name.
    pub cluster: String,
    /// What is gone all the same.
    pub removed: Vec<Removed>,
    /// Every step that failed.
    pub failures: Vec<StageError>,
}

impl DestroyError {
    /// What to type next.
    pub fn hint(&self) -> String {
        let mismatch = self.failures.iter().find_map(|failure| match failure {
            StageError::Identity(error) => error.hint(),
            _ => None,
        });
        mismatch.unwrap_or_else(|| {
            format!(
                "`homelab down {}` tries again, as often as it takes; `homelab doctor` may say why it failed",
                self.cluster
            )
        })
    }
}

fn chained(failures: &[StageError]) -> String {
    failures.iter().map(|failure| chain(failure)).collect::<Vec<_>>().join("; ")
}

/// An error with all its sources on one line, for lists of several failures.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text.push_str(&format!(": {source}"));
        next = source.source();
    }
    text
}
