//! `homelab assets …`: builds, exports, imports and prunes the node image and Vagrant boxes.

mod prune;
mod share;
mod probe_image;

use clap::{Args, Subcommand};
use provisioner::request::Provider;
use provisioner::request::{KUBERNETES_VERSION, KUBERNETES_VERSIONS};

use super::engine::providers;
use crate::app::App;
use crate::exit::{CliError, Exit};
use crate::printer::Mark;
use crate::progress::Progress;
use crate::signals::Signals;
use crate::words;

/// The verbs of `homelab assets`.
#[derive(Debug, Subcommand)]
pub(crate) enum Assets {
    Build(Build),
    Export(share::Export),
    Import(share::Import),
    ProbeImage(probe_image::ProbeImage),
    Prune(prune::Prune),
}

impl Assets {
    pub(crate) async fn run(self, app: &App) -> Result<Exit, CliError> {
        match self {
            Self::Build(build) => build.run(app).await,
            Self::Export(export) => export.run(app).await,
            Self::Import(import) => import.run(app).await,
            Self::ProbeImage(image) => image.run(app),
            Self::Prune(prune) => prune.run(app).await,
        }
    }
}

/// Build the node image, or a Vagrant box
///
/// Compiles Kubernetes, containerd, runc, etcd, CoreDNS and the CNI plugins from pinned Go modules, makes a Debian root
/// file system and fills a container store. This takes about 20 minutes on two cores, once: results are cached by the
/// digest of their inputs, a killed build continues where it stopped, and a finished one is recognised in milliseconds.
/// Another Kubernetes version shares everything but Kubernetes itself. `homelab up` builds what is missing. Another
/// host with the same homelab can import the result instead: see `homelab assets export`.
///
/// With --box, the same parts become a Vagrant box for this provider, which boots with systemd and a boot loader. All
/// instances share the box read-only: each VM is a linked clone.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sudo homelab assets build
  sudo homelab assets build --kubernetes v1.35.4
  sudo homelab assets build --box libvirt")]
pub(crate) struct Build {
    /// Kubernetes version of the nodes
    #[arg(long, value_name = "VERSION", value_parser = KUBERNETES_VERSIONS, default_value = KUBERNETES_VERSION)]
    kubernetes: String,
    /// Build the Vagrant box for this provider
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
                app.printer.line(Mark::Bad, &format!("{signal}: stopped; finished parts are kept"));
                return Ok(Exit::Interrupted);
            }
        };
        progress.finish().await;
        app.printer.done(&built?);
        Ok(Exit::Ok)
    }

    /// Builds the node image or the box, and returns a sentence with its path.
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
