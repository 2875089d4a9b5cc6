//! `homelab k8s current`: whom plain kubectl talks to, and whether all files agree on that.

use clap::Args;
use provisioner::identity;
use provisioner::kubeconfig;
use provisioner::registry::Instance;

use crate::app::App;
use crate::exit::{CliError, Exit};
use crate::printer::Mark;
use crate::words;

/// Say which instance plain kubectl talks to
///
/// Prints its name when the marker that shell prompts read (~/.homelab/active-context) and the current context of
/// your kubeconfig agree, and that context has the API server and the certificate authority of the cluster that came up
/// under this name. Says what differs otherwise, and ends with 4. Prints nothing, and ends with 0, when neither names an
/// instance. Compares files, and asks no cluster: `homelab kubectl NAME` does before it begins.
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
                app.printer.hint("no instance is active: `homelab k8s use-context NAME`");
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

/// The instance that both name, or how they differ. A current context of somebody else's is nobody's business as
/// long as no marker claims another.
fn agreed<'a>(
    marker: Option<&String>,
    context: Option<&String>,
    known: impl Fn(&String) -> Option<&'a Instance>,
) -> Result<Option<&'a Instance>, &'static str> {
    match (marker, context) {
        (None, None) => Ok(None),
        (None, Some(context)) if known(context).is_none() => Ok(None),
        (Some(marker), Some(context)) if marker == context => {
            known(marker).map(Some).ok_or("the active instance is not there any more")
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
