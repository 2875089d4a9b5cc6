//! `homelab k8s current`: shows the instance that plain kubectl uses, and checks that all files agree on it.

use clap::Args;
use provisioner::identity;
use provisioner::kubeconfig;
use provisioner::registry::Instance;

use crate::app::App;
use crate::exit::{CliError, Exit};
use crate::printer::Mark;
use crate::words;

/// Show the instance that plain kubectl uses
///
/// Prints the name of the instance if the marker for shell prompts (~/.homelab/active-context) and the current context
/// of your kubeconfig agree, and if that context has the API server and the certificate authority of the cluster that
/// came up under this name. Otherwise, the command reports what differs and ends with exit code 4. If neither names an
/// instance, it prints nothing and ends with 0. The command compares files and contacts no cluster; `homelab kubectl
/// NAME` also checks the cluster.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  homelab k8s current && kubectl delete pod web")]
pub(crate) struct Current {}

impl Current {
    pub(super) fn run(self, app: &App) -> Result<Exit, CliError> {
        let home = app.home();
        let marker = kubeconfig::active(home)?;
        let context = kubeconfig::current(home)?;
        let instances = app.provisioner.registry().instances()?;
        let known = |name: &String| instances.iter().find(|instance| instance.name == *name);
        match agreed(marker.as_ref(), context.as_ref(), known) {
            Ok(None) => {
                app.printer.hint("no instance is active: `homelab k8s use-context NAME` chooses one");
                Ok(Exit::Ok)
            }
            Ok(Some(instance)) => {
                identity::check_merged(home, instance)?;
                app.printer.result(&format!("{}\n", instance.name));
                Ok(Exit::Ok)
            }
            Err(why) => {
                let (active, merged) =
                    (words::own_path(&home.active_context()), words::own_path(home.merged_kubeconfig()));
                let said =
                    |name: Option<&String>| name.map_or("nothing".to_owned(), |name| format!("'{name}'"));
                app.printer.line(Mark::Bad, why);
                app.printer.line(Mark::Bad, &format!("{active} says {}", said(marker.as_ref())));
                app.printer.line(Mark::Bad, &format!("{merged} says {}", said(context.as_ref())));
                app.printer.hint("`homelab k8s use-context NAME` sets both");
                Ok(Exit::CouldNotRun)
            }
        }
    }
}

/// The instance that marker and context both name, or how they differ. Without a marker, a foreign context counts as
/// none.
fn agreed<'a>(
    marker: Option<&String>,
    context: Option<&String>,
    known: impl Fn(&String) -> Option<&'a Instance>,
) -> Result<Option<&'a Instance>, &'static str> {
    match (marker, context) {
        (None, None) => Ok(None),
        (None, Some(context)) if known(context).is_none() => Ok(None),
        (Some(marker), Some(context)) if marker == context => {
            known(marker).map(Some).ok_or("the active instance does not exist any more")
        }
        _ => Err("marker and kubeconfig disagree"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::instance::tests::running;

    #[test]
    fn an_instance_is_current_only_where_marker_and_kubeconfig_agree() {
        let acme = running("acme");
        let known = |name: &String| (name == "acme").then_some(&acme);
        let text = |name: &str| Some(name.to_owned());
        let cases = [
            (None, None),
            (None, text("work")),
            (None, text("acme")),
            (text("acme"), None),
            (text("acme"), text("acme")),
            (text("acme"), text("globex")),
            (text("globex"), text("globex")),
        ];
        let said = cases.map(|(marker, context)| {
            let agreed = agreed(marker.as_ref(), context.as_ref(), known);
            let agreed = agreed.map(|instance| instance.map(|instance| instance.name.as_str()));
            format!("{marker:?} {context:?} -> {agreed:?}")
        });
        insta::assert_snapshot!(said.join("\n"));
    }
}
