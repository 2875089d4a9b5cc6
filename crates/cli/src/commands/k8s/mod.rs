//! `homelab k8s …`: contexts and kubeconfigs, and the long spelling of `up`.

mod current;
mod kubeconfig;
mod use_context;

use clap::Subcommand;

use super::up::Up;
use crate::app::App;
use crate::exit::{CliError, Exit};

use current::Current;
use kubeconfig::Kubeconfig;
use use_context::UseContext;

/// Verbs of the long spelling.
#[derive(Debug, Subcommand)]
pub(crate) enum K8s {
    /// Bring a cluster up: the same as `homelab up`
    Create(Box<Up>),
    UseContext(UseContext),
    Current(Current),
    Kubeconfig(Kubeconfig),
}

impl K8s {
    pub(crate) async fn run(self, app: &App) -> Result<Exit, CliError> {
        match self {
            Self::Create(verb) => verb.run(app).await,
            Self::UseContext(verb) => verb.run(app),
            Self::Current(verb) => verb.run(app),
            Self::Kubeconfig(verb) => verb.run(app).await,
        }
    }
}
