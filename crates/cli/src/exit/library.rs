//! The exit code of each error of the libraries.

use harness::FixtureError;
use provisioner::assets::AssetsError;
use provisioner::capacity::CapacityError;
use provisioner::dns::DnsError;
use provisioner::engine::EngineError;
use provisioner::events::EventLogError;
use provisioner::home::HomeError;
use provisioner::identity::IdentityError;
use provisioner::kubeconfig::KubeconfigError;
use provisioner::plan::PlanError;
use provisioner::registry::RegistryError;
use provisioner::settings::SettingsError;
use provisioner::stage::Stage;
use provisioner::tls::TlsError;
use provisioner::trust::TrustError;
use provisioner::watch::WatchError;
use provisioner::{
    AttachError, CertificatesError, DestroyError, NamesError, PowerError, ProvisionError, ReapError,
    ReleaseError, RenewError, Residue, StageError, WorkersError,
};

use super::{Ends, Exit};

/// Errors that always end with 4: the host is not ready, or one of homelab's files cannot be used.
macro_rules! could_not_run {
    ($($error:ty),+) => {
        $(impl Ends for $error {
            fn exit(&self) -> Exit {
                Exit::CouldNotRun
            }
        })+
    };
}

could_not_run!(
    HomeError,
    SettingsError,
    AssetsError,
    CapacityError,
    EngineError,
    EventLogError,
    IdentityError,
    KubeconfigError,
    TrustError,
    WatchError
);

impl<E: Ends> Ends for Box<E> {
    fn exit(&self) -> Exit {
        (**self).exit()
    }
}

impl Ends for RegistryError {
    fn exit(&self) -> Exit {
        match self {
            Self::Unknown { .. } | Self::Taken { .. } => Exit::Usage,
            Self::Home(_) | Self::Neighbour { .. } | Self::Owner { .. } => Exit::CouldNotRun,
            Self::File { .. } | Self::Damaged { .. } | Self::Newer { .. } | Self::Broken { .. } => {
                Exit::CouldNotRun
            }
        }
    }
}

/// A request for something that is taken or impossible is a usage error. An instance that does not run or is busy is
/// not ready.
impl Ends for PlanError {
    fn exit(&self) -> Exit {
        match self {
            Self::NotRunning { .. } | Self::Busy { .. } => Exit::CouldNotRun,
            Self::Exists { .. }
            | Self::InUse { .. }
            | Self::Exhausted { .. }
            | Self::NotAllowed { .. }
            | Self::NoneAllowed { .. }
            | Self::DoesNotFit { .. }
            | Self::NoWorkers { .. }
            | Self::NoSuchNode { .. }
            | Self::NotAWorker { .. } => Exit::Usage,
        }
    }
}

/// A DNS name that is already in use is a usage error. All other errors are the host's.
impl Ends for DnsError {
    fn exit(&self) -> Exit {
        match self {
            Self::Taken { .. } | Self::Claimed { .. } => Exit::Usage,
            Self::File { .. } | Self::Damaged { .. } | Self::Restart(_) => Exit::CouldNotRun,
        }
    }
}

impl Ends for NamesError {
    fn exit(&self) -> Exit {
        match self {
            Self::Registry(error) => error.exit(),
            Self::Dns(error) => error.exit(),
        }
    }
}

impl Ends for TlsError {
    fn exit(&self) -> Exit {
        match self {
            Self::Refused { .. } => Exit::Usage,
            Self::NoAuthority { .. }
            | Self::NotOurs { .. }
            | Self::Ended { .. }
            | Self::Unreadable { .. }
            | Self::Make { .. }
            | Self::Serial(_)
            | Self::File { .. } => Exit::CouldNotRun,
        }
    }
}

impl Ends for CertificatesError {
    fn exit(&self) -> Exit {
        match self {
            Self::Registry(error) => error.exit(),
            Self::Tls(error) => error.exit(),
            Self::Trust(error) => error.exit(),
        }
    }
}

impl Ends for AttachError {
    fn exit(&self) -> Exit {
        match self {
            Self::Registry(error) => error.exit(),
            Self::Unknown { .. } => Exit::Usage,
            Self::Engine(error) => error.exit(),
        }
    }
}

impl Ends for RenewError {
    fn exit(&self) -> Exit {
        match self {
            Self::Attach(error) => error.exit(),
            Self::Kubeadm(_) => Exit::CouldNotRun,
            Self::Kubeconfig(error) => error.exit(),
            Self::Identity(error) => error.exit(),
            Self::Issue(_) => Exit::CouldNotRun,
        }
    }
}

impl Ends for ReapError {
    fn exit(&self) -> Exit {
        match self {
            Self::Registry(error) => error.exit(),
            Self::Trust(error) => error.exit(),
            Self::Dns(error) => error.exit(),
        }
    }
}

/// A refusal before anything exists is no failed provision.
impl Ends for ProvisionError {
    fn exit(&self) -> Exit {
        match (&self.source, self.residue) {
            (StageError::Plan(_), _) => Exit::Usage,
            (StageError::Dns(error), _) => error.exit(),
            (StageError::InUse(_), _) => Exit::ProvisionFailed,
            (_, Residue::Nothing) if self.stage == Stage::Claim => Exit::CouldNotRun,
            (_, Residue::Nothing | Residue::Recorded | Residue::Unknown) => Exit::ProvisionFailed,
        }
    }
}

impl Ends for WorkersError {
    fn exit(&self) -> Exit {
        match self {
            Self::Attach(error) => error.exit(),
            Self::Registry(error) => error.exit(),
            Self::Plan(error) => error.exit(),
            Self::Identity(error) => error.exit(),
            Self::Engine(error) => error.exit(),
            Self::Stage { stage: Stage::Drain | Stage::Leave, .. } => Exit::TeardownFailed,
            Self::Stage { .. } => Exit::ProvisionFailed,
        }
    }
}

/// A cluster that does not become ready after `resume` or `start` has not come up. Every other failure, such as that of
/// a pause or a halt, is the host's.
impl Ends for PowerError {
    fn exit(&self) -> Exit {
        match self {
            Self::Attach(error) => error.exit(),
            Self::Registry(error) => error.exit(),
            Self::Plan(_) | Self::Gone { .. } => Exit::CouldNotRun,
            Self::Identity(error) => error.exit(),
            Self::Stage { stage: Stage::Ready | Stage::Network, .. } => Exit::ProvisionFailed,
            Self::Stage { .. } => Exit::CouldNotRun,
        }
    }
}

impl Ends for DestroyError {
    fn exit(&self) -> Exit {
        Exit::TeardownFailed
    }
}

impl Ends for ReleaseError {
    fn exit(&self) -> Exit {
        match self {
            Self::There { .. } | Self::Needed { .. } | Self::UnknownLiveness { .. } => Exit::Usage,
            Self::Registry(error) => error.exit(),
            Self::Engine(error) => error.exit(),
            Self::Destroy(error) => error.exit(),
        }
    }
}

impl Ends for FixtureError {
    fn exit(&self) -> Exit {
        match self {
            Self::Provision(error) => error.exit(),
            Self::Cluster(_) => Exit::ProvisionFailed,
            Self::Teardown(_) => Exit::TeardownFailed,
            Self::Interrupted(_) => Exit::Interrupted,
            Self::Home(_)
            | Self::Settings(_)
            | Self::Empty
            | Self::Spec { .. }
            | Self::Owner(_)
            | Self::Attach(_)
            | Self::Signals(_) => Exit::CouldNotRun,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_host_names_are_a_usage_error_and_a_missing_authority_is_not() {
        let of = |error| CertificatesError::Tls(error).exit();
        let refused = TlsError::Refused { suffix: "acme.lab".to_owned(), names: Vec::new() };
        assert_eq!(of(refused), Exit::Usage);
        let missing = TlsError::NoAuthority { instance: "acme".to_owned(), path: "ca.crt".into() };
        assert_eq!(of(missing), Exit::CouldNotRun);
    }
}
