//! The errors of creating and destroying a cluster: the stage, the cause, and what is left on the host.

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
    /// Nothing: the failure came before anything was made, or another process removes what was made.
    Nothing,
    /// Parts of the instance, and its registry entry: `down` or `reap` removes them.
    Recorded,
    /// Unknown parts of the instance: the failure could not be recorded in the registry.
    Unknown,
}

/// Why a cluster was not created.
#[derive(Debug, thiserror::Error)]
#[error("bring up {cluster}: stage {stage}")]
pub struct ProvisionError {
    /// The instance's name; several names, separated by commas, where several were checked at once.
    pub cluster: String,
    /// The stage that failed.
    pub stage: Stage,
    /// What the failure left.
    pub residue: Residue,
    /// Why the stage failed.
    #[source]
    pub source: StageError,
}

/// Why a stage failed.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// The host has too little capacity, or its capacity cannot be read.
    #[error(transparent)]
    Capacity(#[from] CapacityError),
    /// The registry cannot be read or changed.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// A name or network is taken or exhausted, or the instance's state does not allow the operation.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The names on this host cannot be read or changed.
    #[error(transparent)]
    Dns(#[from] DnsError),
    /// The node image or box cannot be built or found.
    #[error(transparent)]
    Assets(#[from] AssetsError),
    /// The nodes or their networks cannot be created, asked or removed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The cluster's certificate authorities cannot be made, read or used.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// The instance's own authority cannot be made, read or used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The host's trust store cannot be read or changed.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// A step of kubeadm failed, or its result did not become ready.
    #[error(transparent)]
    Kubeadm(#[from] KubeadmError),
    /// The pod network cannot be configured or deployed, or did not become ready.
    #[error(transparent)]
    Cni(#[from] CniError),
    /// A kubeconfig on this host cannot be read or written.
    #[error(transparent)]
    Kubeconfig(#[from] KubeconfigError),
    /// The cluster that answers is not the recorded one, or its identity cannot be checked.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The instance or its folder is in use, or another process took the instance down.
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
            Residue::Recorded => Some(format!("`sudo homelab down {}` removes what was made", self.cluster)),
            Residue::Unknown => Some("`sudo homelab reap` removes what no instance explains".to_owned()),
        })
    }
}

/// Why an instance was not destroyed completely. A failed step did not stop the others, except where the destruction
/// could not begin.
#[derive(Debug, thiserror::Error)]
#[error("take down {cluster}: {}", chained(.failures))]
pub struct DestroyError {
    /// The instance's name.
    pub cluster: String,
    /// The parts that were removed.
    pub removed: Vec<Removed>,
    /// The errors of all steps that failed.
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
                "`sudo homelab down {}` may be repeated until it succeeds; `homelab doctor` may show the cause",
                self.cluster
            )
        }))
    }
}

impl DestroyError {
    /// The hint where all failures are about files outside of the home.
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
            "its nodes are removed, but {left} and its registry entry are not: {}`sudo homelab down {}` removes the rest",
            first.unwrap_or_default(),
            self.cluster
        ))
    }
}

fn chained(failures: &[StageError]) -> String {
    failures.iter().map(|failure| chain(failure)).collect::<Vec<_>>().join("; ")
}
