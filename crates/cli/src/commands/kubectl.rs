//! `homelab kubectl NAME -- …`: runs a kubectl of a suitable version, with a kubeconfig for this instance only.

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
/// Uses the kubectl of the node image and a kubeconfig with this instance only: contexts cannot be mixed up, and
/// nothing has to be installed. If the node image cannot be read, the kubectl on the PATH is used, provided that it is
/// at most one minor version away from the cluster's Kubernetes.
///
/// First, the command checks that the cluster that answers is the one that came up under this name. If the API server
/// does not answer within two seconds, this is reported, and kubectl runs all the same. kubectl gets your terminal,
/// language and editor, and no proxy: a cluster is on a link of this host. Streams and exit code are kubectl's.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  homelab kubectl acme -- get nodes
  homelab kubectl acme -- exec -it my-pod -- sh")]
pub(crate) struct Kubectl {
    /// Name of the instance
    #[arg(value_parser = name)]
    name: String,
    /// Arguments for kubectl
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
            // The kubeconfig has the recorded server and authority, so kubectl cannot reach another cluster. kubectl
            // may wait longer, and its own error explains better why the server does not answer.
            Err(unanswered @ IdentityError::Unanswered { .. }) => {
                let why = chain(&unanswered);
                app.printer.line(
                    Mark::Bad,
                    &format!("the UID of {}'s cluster could not be checked: {why}", self.name),
                );
            }
            Err(error) => return Err(error.into()),
        }
        let kubectl = Command::within(Duration::MAX, program(app, &instance.k8s.version).await?)
            .args(self.arguments)
            .keeping(environment::SESSION.iter().copied())
            .env("KUBECONFIG", kubeconfig);
        Err(Refusal::Command(replace(&kubectl)).into()) // `replace` returns only if it fails
    }
}

/// The kubectl of the node image, or the one on the PATH.
async fn program(app: &App, kubernetes: &str) -> Result<String, CliError> {
    let own = app.provisioner.assets().find(kubernetes);
    let own = own.map(|image| image.root.join("usr/local/bin/kubectl"));
    if let Some(own) = own.filter(|own| own.is_file()) {
        return Ok(own.into_string());
    }
    let ask =
        Command::within(Duration::from_secs(20), "kubectl").args(["version", "--client", "--output", "json"]);
    let answer = app.provisioner.runner().run(&ask).await.map(|output| output.text()).unwrap_or_default();
    let found = version(&answer);
    if found.as_deref().is_some_and(|found| suits(found, kubernetes)) {
        return Ok("kubectl".to_owned());
    }
    Err(Refusal::NoKubectl { kubernetes: kubernetes.to_owned(), found }.into())
}

/// The version in an answer of `kubectl version --client --output json`.
fn version(answer: &str) -> Option<String> {
    let json: serde_json::Value = serde_json::from_str(answer).ok()?;
    Some(json.pointer("/clientVersion/gitVersion")?.as_str()?.to_owned())
}

/// Whether a kubectl and an API server are at most one minor version apart (Kubernetes' version skew policy).
fn suits(kubectl: &str, kubernetes: &str) -> bool {
    let numbers = |version: &str| -> Option<(u32, u32)> {
        let mut numbers = version.trim_start_matches('v').split('.').map(|number| number.parse().ok());
        Some((numbers.next()??, numbers.next()??))
    };
    match (numbers(kubectl), numbers(kubernetes)) {
        (Some((major, minor)), Some((of, other))) => major == of && minor.abs_diff(other) <= 1,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kubectl_may_be_one_minor_version_older_or_newer() {
        let suiting = |kubectl| suits(kubectl, "v1.36.3");
        assert_eq!(["v1.35.0", "v1.36.9", "v1.37.1"].map(suiting), [true; 3]);
        assert_eq!(["v1.34.9", "v1.38.0", "v2.36.3", "", "v1", "latest"].map(suiting), [false; 6]);
        assert!(suits("v1.35.3-gke.100", "v1.36.3"));
    }

    #[test]
    fn the_version_is_read_out_of_kubectls_answer() {
        let answer = r#"{"clientVersion": {"major": "1", "minor": "36", "gitVersion": "v1.36.3"}, "kustomizeVersion": "v5"}"#;
        assert_eq!(version(answer).as_deref(), Some("v1.36.3"));
        assert_eq!([version(""), version("{}"), version("Client Version: v1.36.3")], [None, None, None]);
    }
}
