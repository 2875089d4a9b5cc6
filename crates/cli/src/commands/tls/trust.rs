//! `homelab tls trust` and `homelab tls untrust`: let this host trust an instance's authority, or no longer.

use clap::Args;

use super::{Of, facts};
use crate::app::App;
use crate::exit::{CliError, Exit};

/// Let this host trust an instance's certificate authority
///
/// Adds the authority to the system's trust store as one file, and changes nothing else. `homelab down` removes the
/// file again. Programs with their own trust store (Firefox, Java) do not use the system's. The authority can vouch
/// only for names below the instance's DNS suffix.
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
        app.printer.done(&format!("this host trusts {}", about.subject));
        app.printer.result(&facts(&[("fingerprint", about.fingerprint)]));
        app.printer.hint(&format!("`sudo homelab tls untrust --instance {name}` ends that"));
        Ok(Exit::Ok)
    }
}

/// Let this host no longer trust an instance's certificate authority
///
/// Removes the file that `homelab tls trust` added. Authorities of other instances and foreign authorities stay.
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
            format!("this host no longer trusts {subject}")
        } else {
            format!("this host did not trust {subject}; nothing was changed")
        };
        app.printer.done(&said);
        Ok(Exit::Ok)
    }
}
