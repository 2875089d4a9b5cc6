//! `homelab assets …`: what nodes are made of is built, handed on, and removed when it is old.

mod prune;
mod share;

use clap::{Args, Subcommand};
use provisioner::spec::Provider;
use provisioner::spec::{KUBERNETES_VERSION, KUBERNETES_VERSIONS};

use super::machines::providers;
use crate::app::App;
use crate::exit::{CliError, Exit};
use crate::printer::Mark;
use crate::progress::Progress;
use crate::signals::Signals;
use crate::words;

/// Verbs over assets.
#[derive(Debug, Subcommand)]
pub(crate) enum Assets {
    Build(Build),
    Export(share::Export),
    Import(share::Import),
    Prune(prune::Prune),
}

impl Assets {
    pub(crate) async fn run(self, app: &App) -> Result<Exit, CliError> {
        match self {
            Self::Build(build) => build.run(app).await,
            Self::Export(export) => export.run(app).await,
            Self::Import(import) => import.run(app).await,
            Self::Prune(prune) => prune.run(app).await,
        }
    }
}

/// Build the node image, or a box for virtual machines
///
/// Compiles Kubernetes, containerd, runc, etcd, CoreDNS and the CNI plugins from pinned Go modules, makes a
/// Debian root file system and fills a container store. Takes some 20 minutes on two cores, once: results
/// are cached by the digest of their inputs, a build that was killed goes on where it stopped, and one that
/// is done is recognised in milliseconds. A further version of Kubernetes shares all but Kubernetes itself.
/// `homelab up` does the same when it has to. Another machine with the same homelab need not: see `homelab assets
/// export`.
///
/// With --box, the same parts become a box that starts by itself, with systemd and a boot loader, for Vagrant and this
/// provider. All instances share it read-only: each virtual machine is a linked clone.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sudo homelab assets build
  sudo homelab assets build --kubernetes v1.35.4
  sudo homelab assets build --box libvirt")]
pub(crate) struct Build {
    /// Which Kubernetes the nodes are of
    #[arg(long, value_name = "VERSION", value_parser = KUBERNETES_VERSIONS, default_value = KUBERNETES_VERSION)]
    kubernetes: String,
    /// A box for virtual machines of this provider
    #[arg(long = "box", value_name = "PROVIDER", value_parser = providers())]
    provider: Option<Provider>,
}

impl Build {
    async fn run(self, app: &App) -> Result<Exit, CliError> {
        app.must_be_root()?;
        let mut signals = Signals::listen()?;
        let progress = Progress::of(app.provisioner.events(), &app.printer);
        let built = tokio::select! {
            built = self.build(app) => built,
            signal = signals.next() => {
                app.printer.line(Mark::Bad, &format!("{signal}: stopped; what is built so far is kept"));
                return Ok(Exit::Interrupted);
            }
        };
        progress.finish().await;
        app.printer.done(&built?);
        Ok(Exit::Ok)
    }

    /// Builds it, and says where it is.
    async fn build(&self, app: &App) -> Result<String, CliError> {
        let (assets, version) = (app.provisioner.assets(), &self.kubernetes);
        let (runner, events) = (app.provisioner.runner().as_ref(), app.provisioner.events());
        match self.provider {
            None => {
                let image = assets.build(version, runner, events).await?;
                Ok(format!("the node image of Kubernetes {version} is at {}", words::own_path(&image.root)))
            }
            Some(provider) => {
                let built = assets.build_box(version, provider, runner, events).await?;
                let path = words::own_path(&built.catalogue);
                Ok(format!("the box {} of Kubernetes {version} for {provider} is at {path}", built.name))
            }
        }
    }
}
