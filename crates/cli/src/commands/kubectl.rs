//! `homelab kubectl NAME -- …`: kubectl of the instance's own version, which sees this instance only.

use std::time::Duration;

use clap::Args;
use provisioner::error::chain;
use provisioner::exec::{Command, environment, replace};
use provisioner::identity::IdentityError;

use crate::app::App;
use crate::exit::{CliError, Exit, Refusal};
use crate::printer::Mark;
use crate::values::name;

/// Run kubectl against one instance
///
/// Uses the kubectl that the nodes have and a kubeconfig that knows this instance only: no context can be
/// mixed up, and nothing need be installed. First it is checked that the cluster which answers is the one that came
/// up under this name; where nobody answers within two seconds, that is said, and kubectl tries. It gets your terminal,
/// language and editor, and no proxy: a cluster is on a link of this host. Streams and exit code are kubectl's own.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  homelab kubectl acme -- get nodes
  homelab kubectl acme -- exec -it my-pod -- sh")]
pub(crate) struct Kubectl {
    /// The instance
    #[arg(value_parser = name)]
    name: String,
    /// What kubectl is told
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "KUBECTL ARGUMENTS")]
    pub(crate) arguments: Vec<String>,
}

impl Kubectl {
    pub(crate) async fn run(self, app: &App) -> Result<Exit, CliError> {
        let instance = app.find(&self.name)?;
        let kubeconfig = app.home().isolated_kubeconfig(&self.name);
        if !kubeconfig.exists() {
            return Err(Refusal::NoKubeconfig { name: self.name, state: instance.state.to_string() }.into());
        }
        match app.provisioner.identify(&self.name).await {
            Ok(()) => {}
            // Its server and authority are those that were recorded, and kubectl talks to no other; it may have more
            // patience, and tells better why nobody answers.
            Err(unanswered @ IdentityError::Unanswered { .. }) => {
                let why = chain(&unanswered);
                app.printer
                    .line(Mark::Bad, &format!("the UID of {}'s cluster is not checked: {why}", self.name));
            }
            Err(error) => return Err(error.into()),
        }
        let image = app.provisioner.assets().find(&instance.k8s.version).ok_or(Refusal::NoNodeImage)?;
        let kubectl = Command::within(Duration::MAX, image.root.join("usr/local/bin/kubectl"))
            .args(self.arguments)
            .keeping(environment::SESSION.iter().copied())
            .env("KUBECONFIG", kubeconfig);
        Err(Refusal::Command(replace(&kubectl)).into()) // it only returns when it could not
    }
}
