//! `homelab tls trust` and `homelab tls untrust`: whether this host accepts an instance's authority.

use clap::Args;

use super::{Of, facts};
use crate::app::App;
use crate::exit::{CliError, Exit};

/// Make this host accept an instance's certificates
///
/// Adds the instance's authority to the system's trust store, one file, and nothing else; `homelab down` takes
/// it away again. Programs with a store of their own (Firefox, Java) do not look there. What you trust can
/// vouch for the instance's DNS suffix only.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  sudo homelab tls trust --instance acme")]
pub(crate) struct Trust {
    #[command(flatten)]
    of: Of,
}

impl Trust {
    pub(super) async fn run(self, app: &App) -> Result<Exit, CliError> {
        let name = self.of.instance;
        app.find(&name)?;
        app.must_be_root()?;
        let about = app.provisioner.trust(&name).await?.about;
        app.printer.done(&format!("this host accepts certificates of {}", about.subject));
        app.printer.result(&facts(&[("fingerprint", about.fingerprint)]));
        app.printer.hint(&format!("`sudo homelab tls untrust --instance {name}` takes that back"));
        Ok(Exit::Ok)
    }
}

/// Make this host accept an instance's certificates no longer
///
/// Removes the one file that `tls trust` added; other instances and other people's authorities stay.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  sudo homelab tls untrust --instance acme")]
pub(crate) struct Untrust {
    #[command(flatten)]
    of: Of,
}

impl Untrust {
    pub(super) async fn run(self, app: &App) -> Result<Exit, CliError> {
        let name = self.of.instance;
        let subject = app.find(&name)?.k8s.ca_name;
        app.must_be_root()?;
        let said = if app.provisioner.untrust(&name).await? {
            format!("this host accepts certificates of {subject} no longer")
        } else {
            format!("this host did not accept certificates of {subject}; nothing was changed")
        };
        app.printer.done(&said);
        Ok(Exit::Ok)
    }
}
