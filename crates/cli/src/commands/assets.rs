//! `homelab assets build`: the node image.

use clap::{Args, Subcommand};
use provisioner::assets::{AssetsError, KUBERNETES_VERSION, KUBERNETES_VERSIONS};
use provisioner::events::Events;
use provisioner::exec::Runner;
use provisioner::spec::Provider;

use super::providers;
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
}

impl Assets {
    pub(crate) async fn run(self, app: &App) -> Result<Exit, CliError> {
        match self {
            Self::Build(build) => build.run(app).await,
        }
    }
}

/// Build the node image, or a box of it for virtual machines
///
/// Compiles Kubernetes, containerd, runc, etcd, CoreDNS and the CNI plugins from pinned Go modules, makes a
/// Debian root file system and fills a container store. Takes some 20 minutes on two cores, once: results
/// are cached by the digest of their inputs, a build that was killed goes on where it stopped, and one that
/// is done is recognised in milliseconds. A further version of Kubernetes shares all but Kubernetes itself.
/// `homelab up` does the same when it has to.
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

    /// Also build the box that virtual machines of this provider start from
    #[arg(long = "box", value_name = "PROVIDER", value_parser = providers())]
    provider: Option<Provider>,
}

impl Build {
    async fn run(self, app: &App) -> Result<Exit, CliError> {
        app.must_be_root()?;
        let mut signals = Signals::listen()?;
        let progress = Progress::of(app.provisioner.events(), &app.printer);
        let (runner, events) = (app.provisioner.runner(), app.provisioner.events());
        let built = tokio::select! {
            built = self.built(app.provisioner.assets(), runner.as_ref(), events) => built,
            signal = signals.next() => {
                app.printer.line(Mark::Bad, &format!("{signal}: stopped; what is built so far is kept"));
                return Ok(Exit::Interrupted);
            }
        };
        progress.finish().await;
        app.printer.done(&built?);
        Ok(Exit::Ok)
    }

    /// Builds what is asked for, and says where it is.
    async fn built(
        &self,
        assets: &provisioner::assets::Assets,
        runner: &dyn Runner,
        events: &Events,
    ) -> Result<String, AssetsError> {
        let kubernetes = &self.kubernetes;
        match self.provider {
            None => {
                let image = assets.build(kubernetes, runner, events).await?;
                Ok(format!(
                    "the node image of Kubernetes {kubernetes} is at {}",
                    words::own_path(&image.root)
                ))
            }
            Some(provider) => {
                let node_box = assets.build_box(kubernetes, provider, runner, events).await?;
                let path = words::own_path(&node_box.catalogue);
                Ok(format!(
                    "the box {} of Kubernetes {kubernetes} for {provider} is at {path}",
                    node_box.name
                ))
            }
        }
    }
}
