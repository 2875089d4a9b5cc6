//! `homelab instance …`: lists, shows and releases entries of the registry. Each verb has a file; `view` is the JSON
//! output.

mod list;
mod show;
mod release;
mod view;

use clap::Subcommand;

use crate::app::App;
use crate::exit::{CliError, Exit};

pub(crate) use view::{InstanceView, uptime};

/// The verbs of `homelab instance`.
#[derive(Debug, Subcommand)]
pub(crate) enum InstanceCommand {
    List(list::List),
    Show(show::Show),
    Release(release::Release),
}

impl InstanceCommand {
    pub(crate) async fn run(self, app: &App) -> Result<Exit, CliError> {
        match self {
            Self::List(verb) => verb.run(app),
            Self::Show(verb) => verb.run(app),
            Self::Release(verb) => verb.run(app).await,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
