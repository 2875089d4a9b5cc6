//! How `homelab` ends: every error of the CLI, and the documented codes, which never change meaning.

use std::process::ExitCode;

use camino::Utf8PathBuf;
use harness::FixtureError;
use harness::audit::Outcome;
use provisioner::assets::AssetsError;
use provisioner::dns::DnsError;
use provisioner::engine::EngineError;
use provisioner::error::{DestroyError, ProvisionError, Residue, Stage, StageError};
use provisioner::events::EventLogError;
use provisioner::exec::CommandError;
use provisioner::home::HomeError;
use provisioner::identity::IdentityError;
use provisioner::kubeconfig::KubeconfigError;
use provisioner::plan::PlanError;
use provisioner::registry::RegistryError;
use provisioner::settings::{EngineFamily, SettingsError};
use provisioner::spec::SpecError;
use provisioner::tls::TlsError;
use provisioner::{
    AttachError, CertificatesError, NamesError, PowerError, ReapError, ReleaseError, RenewError, WorkersError,
};

use crate::commands::audit::NoReport;
use crate::commands::demo::DemoError;
use crate::commands::dns;
use crate::words;

/// An end, as scripts see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// 0: done as asked.
    Ok,
    /// 1: one client reached another.
    Leak,
    /// 2: the command line, a spec or a name is wrong; nothing was done.
    Usage,
    /// 3: isolation could not be judged.
    Inconclusive,
    /// 4: this host is not ready, or a file of homelab's cannot be used.
    CouldNotRun,
    /// 5: a cluster did not come up.
    ProvisionFailed,
    /// 6: something could not be removed.
    TeardownFailed,
    /// 130: stopped by a signal.
    Interrupted,
}

impl Exit {
    /// The one place where errors become codes.
    pub(crate) fn of(error: &CliError) -> Self {
        match error {
            CliError::Spec(_)
            | CliError::Unknown { .. }
            | CliError::NotVirtual { .. }
            | CliError::Certificates(CertificatesError::Tls(TlsError::Refused { .. })) => Self::Usage,
            CliError::Home(_)
            | CliError::Settings(_)
            | CliError::NotRoot { .. }
            | CliError::NotWritable { .. }
            | CliError::Unrecorded { .. }
            | CliError::Registry(_)
            | CliError::Attach(_)
            | CliError::Reap(_)
            | CliError::Assets(_)
            | CliError::Engine(_)
            | CliError::Kubeconfig(_)
            | CliError::EventLog(_)
            | CliError::Identity(_)
            | CliError::Renew(_)
            | CliError::Certificates(_)
            | CliError::Owner(_)
            | CliError::Signals(_)
            | CliError::Command(_)
            | CliError::NoNodeImage
            | CliError::NoKubeconfig { .. } => Self::CouldNotRun,
            CliError::NoReport(error) if error.is_usage() => Self::Usage,
            CliError::NoReport(_) => Self::CouldNotRun,
            CliError::Dns(error) => dns::exit(error),
            CliError::Provision(error) => Self::of_provision(error),
            CliError::Workers(error) => Self::of_workers(error),
            CliError::Power(error) => Self::of_power(error),
            CliError::Release(error) => match error {
                ReleaseError::There { .. } | ReleaseError::Needed { .. } => Self::Usage,
                ReleaseError::Registry(_) | ReleaseError::Engine(_) => Self::CouldNotRun,
                ReleaseError::Destroy(_) => Self::TeardownFailed,
            },
            CliError::Demo(error) => match error {
                DemoError::Leak { .. } => Self::Leak,
                DemoError::Control { .. } | DemoError::Pod { .. } => Self::Inconclusive,
                DemoError::Fixture(FixtureError::Provision(error)) => Self::of_provision(error),
                DemoError::Fixture(FixtureError::Teardown(_)) | DemoError::Left(_) => Self::TeardownFailed,
                DemoError::Fixture(FixtureError::Interrupted(_)) => Self::Interrupted,
                DemoError::Fixture(FixtureError::Cluster(_)) => Self::ProvisionFailed,
                DemoError::Fixture(
                    FixtureError::Home(_)
                    | FixtureError::Settings(_)
                    | FixtureError::Empty
                    | FixtureError::Spec { .. }
                    | FixtureError::Owner(_)
                    | FixtureError::Signals(_),
                ) => Self::CouldNotRun,
            },
            CliError::Destroy(_) | CliError::Left { .. } => Self::TeardownFailed,
        }
    }

    /// What an audit means.
    pub(crate) fn of_audit(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Isolated => Self::Ok,
            Outcome::Leak => Self::Leak,
            Outcome::Inconclusive => Self::Inconclusive,
        }
    }

    /// What is refused before anything is done is no failed change.
    fn of_workers(error: &WorkersError) -> Self {
        match error {
            WorkersError::Attach(AttachError::Unknown { .. }) => Self::Usage,
            WorkersError::Registry(RegistryError::Plan(PlanError::NotRunning { .. })) => Self::CouldNotRun,
            WorkersError::Registry(RegistryError::Plan(_)) => Self::Usage,
            WorkersError::Stage { stage: Stage::Drain | Stage::Leave, .. } => Self::TeardownFailed,
            WorkersError::Stage { .. } => Self::ProvisionFailed,
            WorkersError::Attach(_)
            | WorkersError::Registry(_)
            | WorkersError::Identity(_)
            | WorkersError::Engine(_)
            | WorkersError::Owner(_) => Self::CouldNotRun,
        }
    }

    /// An instance that does not come to rest, or cannot, is as it is; one that does not go on did not come up.
    fn of_power(error: &PowerError) -> Self {
        match error {
            PowerError::Attach(AttachError::Unknown { .. }) => Self::Usage,
            PowerError::Stage { stage: Stage::Ready | Stage::Network, .. } => Self::ProvisionFailed,
            PowerError::Stage { .. }
            | PowerError::Gone { .. }
            | PowerError::Attach(_)
            | PowerError::Registry(_)
            | PowerError::Identity(_) => Self::CouldNotRun,
        }
    }

    /// What is refused before anything exists is no failed provision.
    fn of_provision(error: &ProvisionError) -> Self {
        match (&error.source, error.residue) {
            (StageError::Registry(RegistryError::Plan(_)), _) => Self::Usage,
            (StageError::Dns(error), _) => dns::exit(error),
            (_, Residue::Nothing) if error.stage == Stage::Claim => Self::CouldNotRun,
            _ => Self::ProvisionFailed,
        }
    }

    /// The number.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Leak => 1,
            Self::Usage => 2,
            Self::Inconclusive => 3,
            Self::CouldNotRun => 4,
            Self::ProvisionFailed => 5,
            Self::TeardownFailed => 6,
            Self::Interrupted => 130,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// Why a verb did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    #[error(transparent)]
    Home(#[from] HomeError),
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error("this needs root: it changes this host's network, mounts or trust store")]
    NotRoot { command: String },
    #[error("this needs root: it changes {path}")]
    NotWritable { path: Utf8PathBuf, command: String },
    #[error("{}: names could not be recorded or removed", words::list(.instances))]
    Unrecorded { instances: Vec<String> },
    #[error(transparent)]
    Dns(#[from] DnsError),
    #[error("this cannot be made as asked:{}", problems(.0))]
    Spec(SpecError),
    #[error("containers have no such thing: {}", words::list(.asked))]
    NotVirtual { asked: Vec<String>, engine: Option<EngineFamily> },
    #[error("no instance '{name}'; {}", words::there_are(.known))]
    Unknown { name: String, known: Vec<String> },
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error(transparent)]
    Provision(#[from] Box<ProvisionError>),
    #[error(transparent)]
    Workers(#[from] WorkersError),
    #[error(transparent)]
    Power(#[from] PowerError),
    #[error(transparent)]
    Destroy(#[from] DestroyError),
    #[error(transparent)]
    Release(#[from] ReleaseError),
    #[error("{}: not everything could be removed", words::list(.instances))]
    Left { instances: Vec<String> },
    #[error(transparent)]
    Attach(#[from] AttachError),
    #[error(transparent)]
    Reap(#[from] ReapError),
    #[error(transparent)]
    Assets(#[from] AssetsError),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(transparent)]
    Kubeconfig(#[from] KubeconfigError),
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error(transparent)]
    Renew(#[from] RenewError),
    #[error(transparent)]
    EventLog(#[from] EventLogError),
    #[error(transparent)]
    Certificates(#[from] CertificatesError),
    #[error(transparent)]
    Command(#[from] CommandError),
    #[error("find out who owns what is made")]
    Owner(#[source] std::io::Error),
    #[error("listen for signals")]
    Signals(#[source] std::io::Error),
    #[error("the node image is not built, and kubectl is part of it")]
    NoNodeImage,
    #[error("'{name}' has no kubeconfig: it is {state}")]
    NoKubeconfig { name: String, state: String },
    #[error(transparent)]
    NoReport(#[from] NoReport),
    #[error(transparent)]
    Demo(#[from] DemoError),
}

impl From<SpecError> for CliError {
    fn from(error: SpecError) -> Self {
        Self::Spec(error) // no source: its message is in ours, a line for each problem
    }
}

impl From<NamesError> for CliError {
    fn from(error: NamesError) -> Self {
        match error {
            NamesError::Registry(error) => Self::Registry(error),
            NamesError::Dns(error) => Self::Dns(error),
        }
    }
}

fn problems(error: &SpecError) -> String {
    error.problems.iter().map(|problem| format!("\n{problem}")).collect()
}

impl CliError {
    /// What to type next.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::NotRoot { command } | Self::NotWritable { command, .. } => Some(format!("`{command}`")),
            Self::NotVirtual { engine: None, .. } => {
                Some("`--engine vagrant` makes virtual machines; config.yaml can say so for all".to_owned())
            }
            Self::NotVirtual { .. } => Some("`--engine vagrant` makes virtual machines".to_owned()),
            Self::Unknown { known, .. } if known.is_empty() => Some("`homelab up NAME` makes one".to_owned()),
            Self::Unknown { .. } => Some("`homelab instance list` shows them".to_owned()),
            Self::Dns(error) => error.hint(),
            Self::Settings(error) | Self::Demo(DemoError::Fixture(FixtureError::Settings(error))) => {
                error.hint()
            }
            Self::Registry(error) => error.hint(),
            Self::Provision(error) | Self::Demo(DemoError::Fixture(FixtureError::Provision(error))) => {
                provision_hint(error)
            }
            Self::Demo(DemoError::Left(_) | DemoError::Fixture(FixtureError::Teardown(_))) => {
                Some("`homelab reap` tries again".to_owned())
            }
            Self::Kubeconfig(error) => error.hint(),
            Self::Identity(error) | Self::Renew(RenewError::Identity(error)) => error.hint(),
            Self::Workers(error) => error.hint(),
            Self::Power(error) => error.hint(),
            Self::Destroy(error) => Some(error.hint()),
            Self::Release(error) => error.hint(),
            Self::Left { .. } => Some("`homelab reap` tries again".to_owned()),
            Self::Attach(AttachError::Registry(error)) | Self::Reap(ReapError::Registry(error)) => {
                error.hint()
            }
            Self::Reap(ReapError::Trust(error)) => error.hint(),
            Self::Certificates(error) => error.hint(),
            Self::Assets(error) => error.hint(),
            Self::NoReport(error) => error.hint(),
            Self::NoNodeImage => Some("`sudo homelab assets build`".to_owned()),
            Self::NoKubeconfig { name, .. } => Some(format!("`homelab status {name}` says how far it is")),
            _ => None,
        }
    }
}

fn provision_hint(error: &ProvisionError) -> Option<String> {
    match &error.source {
        StageError::Engine(EngineError::Preflight(_)) => {
            Some("`homelab doctor` checks everything at once".to_owned())
        }
        StageError::Kubeconfig(error) => error.hint(),
        _ => error.hint(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_never_change_their_meaning() {
        let all = [
            (Exit::Ok, 0),
            (Exit::Leak, 1),
            (Exit::Usage, 2),
            (Exit::Inconclusive, 3),
            (Exit::CouldNotRun, 4),
            (Exit::ProvisionFailed, 5),
            (Exit::TeardownFailed, 6),
            (Exit::Interrupted, 130),
        ];
        for (exit, code) in all {
            assert_eq!(exit.code(), code);
        }
    }
    #[test]
    fn names_that_are_not_issued_are_a_matter_of_usage_and_a_missing_authority_is_not() {
        let of = |error| Exit::of(&CliError::Certificates(CertificatesError::Tls(error)));
        let refused = TlsError::Refused { suffix: "acme.lab".to_owned(), names: Vec::new() };
        assert_eq!(of(refused), Exit::Usage);
        let missing = TlsError::NoAuthority { instance: "acme".to_owned(), path: "ca.crt".into() };
        assert_eq!(of(missing), Exit::CouldNotRun);
    }
}
