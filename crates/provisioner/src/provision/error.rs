//! What can go wrong on the way from a spec to a cluster, at which stage, and what it left behind.

use crate::assets::AssetsError;
use crate::capacity::CapacityError;
use crate::cni::CniError;
use crate::dns::DnsError;
use crate::engine::EngineError;
use crate::error::{Hint, chain};
use crate::identity::IdentityError;
use crate::kubeadm::KubeadmError;
use crate::kubeconfig::KubeconfigError;
use crate::pki::PkiError;
use crate::plan::PlanError;
use crate::registry::{ChangeError, RegistryError};
use crate::stage::Stage;
use crate::tls::TlsError;
use crate::trust::TrustError;

use super::{InUseError, Removed};

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
    /// The registry cannot be read or changed.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// What was asked for is taken, or cannot be had.
    #[error(transparent)]
    Plan(#[from] PlanError),
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
    /// Somebody else needs what would be taken away, or has taken away what is needed.
    #[error(transparent)]
    InUse(#[from] InUseError),
}

impl From<ChangeError<PlanError>> for StageError {
    fn from(error: ChangeError<PlanError>) -> Self {
        match error {
            ChangeError::Registry(error) => Self::Registry(error),
            ChangeError::Refused(error) => Self::Plan(error),
        }
    }
}

impl Hint for StageError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Capacity(error) => error.hint(),
            Self::Registry(error) => error.hint(),
            Self::Plan(error) => error.hint(),
            Self::Dns(error) => error.hint(),
            Self::Assets(error) => error.hint(),
            Self::Engine(error) => error.hint(),
            Self::Pki(error) => error.hint(),
            Self::Tls(error) => error.hint(),
            Self::Trust(error) => error.hint(),
            Self::Kubeadm(error) => error.hint(),
            Self::Cni(error) => error.hint(),
            Self::Kubeconfig(error) => error.hint(),
            Self::Identity(error) => error.hint(),
            Self::InUse(error) => error.hint(),
        }
    }
}

impl Hint for ProvisionError {
    fn hint(&self) -> Option<String> {
        self.source.hint().or_else(|| match self.residue {
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

impl Hint for DestroyError {
    fn hint(&self) -> Option<String> {
        let is_refusal = |failure: &&StageError| {
            matches!(failure, StageError::Identity(_) | StageError::InUse(_) | StageError::Plan(_))
        };
        let refusal = self.failures.iter().find(is_refusal).and_then(Hint::hint);
        Some(refusal.or_else(|| self.left_outside()).unwrap_or_else(|| {
            format!(
                "`homelab down {}` tries again, as often as it takes; `homelab doctor` may say why it failed",
                self.cluster
            )
        }))
    }
}

impl DestroyError {
    /// What to do where only files of others could not be changed.
    fn left_outside(&self) -> Option<String> {
        let left = self.failures.iter().map(|failure| match failure {
            StageError::Kubeconfig(_) => Some("its context in the kubeconfig"),
            StageError::Dns(_) => Some("its names on this host"),
            StageError::Trust(_) => Some("this host's trust in its authority"),
            _ => None,
        });
        let left = left.collect::<Option<Vec<_>>>()?.join(" and ");
        let first = self.failures.iter().find_map(Hint::hint).map(|hint| format!("{hint}; then "));
        Some(format!(
            "its nodes are gone; what is left is {left}, and its registry entry until then: {}`homelab down {}` \
             removes the rest",
            first.unwrap_or_default(),
            self.cluster
        ))
    }
}

fn chained(failures: &[StageError]) -> String {
    failures.iter().map(|failure| chain(failure)).collect::<Vec<_>>().join("; ")
}
