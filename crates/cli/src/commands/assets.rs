//! `homelab assets build`: the node image.

use clap::{Args, Subcommand};
use provisioner::assets::{KUBERNETES_VERSION, KUBERNETES_VERSIONS};

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

/// Build the node image
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
  sudo homelab assets build --kubernetes v1.35.4")]
pub(crate) struct Build {
    /// Which Kubernetes the nodes are of
    #[arg(long, value_name = "VERSION", value_parser = KUBERNETES_VERSIONS, default_value = KUBERNETES_VERSION)]
    kubernetes: String,
}

impl Build {
    async fn run(self, app: &App) -> Result<Exit, CliError> {
        app.must_be_root()?;
        let mut signals = Signals::listen()?;
        let progress = Progress::of(app.provisioner.events(), &app.printer);
        let (runner, events) = (app.provisioner.runner(), app.provisioner.events());
        let built = tokio::select! {
            built = app.provisioner.assets().build(&self.kubernetes, runner.as_ref(), events) => built,
            signal = signals.next() => {
                app.printer.line(Mark::Bad, &format!("{signal}: stopped; what is built so far is kept"));
                return Ok(Exit::Interrupted);
            }
        };
        progress.finish().await;
        app.printer.done(&format!(
            "the node image of Kubernetes {} is at {}",
            self.kubernetes,
            words::own_path(&built?.root)
        ));
        Ok(Exit::Ok)
    }
}
