//! `homelab k8s …`: workers, contexts, kubeconfigs and certificates, and the long spelling of `up`.

mod add_worker;
mod remove_worker;
mod current;
mod kubeconfig;
mod renew_certs;
mod use_context;

use clap::Subcommand;

use super::up::Up;
use crate::app::App;
use crate::exit::{CliError, Exit};

use add_worker::AddWorker;
use current::Current;
use kubeconfig::Kubeconfig;
use remove_worker::RemoveWorker;
use renew_certs::RenewCerts;
use use_context::UseContext;

/// The verbs of `homelab k8s`.
#[derive(Debug, Subcommand)]
pub(crate) enum K8s {
    /// Bring a cluster up: the same as `homelab up`
    Create(Box<Up>),
    AddWorker(AddWorker),
    RemoveWorker(RemoveWorker),
    UseContext(UseContext),
    Current(Current),
    Kubeconfig(Kubeconfig),
    RenewCerts(RenewCerts),
}

impl K8s {
    /// Whether the verb changes nodes of an instance.
    pub(crate) fn changes_nodes(&self) -> bool {
        match self {
            Self::Create(_) | Self::AddWorker(_) | Self::RemoveWorker(_) | Self::RenewCerts(_) => true,
            Self::UseContext(_) | Self::Current(_) | Self::Kubeconfig(_) => false,
        }
    }

    pub(crate) async fn run(self, app: &App) -> Result<Exit, CliError> {
        match self {
            Self::Create(verb) => verb.run(app).await,
            Self::AddWorker(verb) => verb.run(app).await,
            Self::RemoveWorker(verb) => verb.run(app).await,
            Self::UseContext(verb) => verb.run(app),
            Self::Current(verb) => verb.run(app),
            Self::Kubeconfig(verb) => verb.run(app).await,
            Self::RenewCerts(verb) => verb.run(app).await,
        }
    }
}
