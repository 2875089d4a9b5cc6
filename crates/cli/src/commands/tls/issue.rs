//! `homelab tls issue`: a certificate for servers of one instance.

use camino::Utf8Path;
use clap::Args;
use provisioner::tls::{Issued, LONGEST_DAYS};

use super::{Of, facts, validity};
use crate::app::App;
use crate::exit::{CliError, Exit};
use crate::words;

/// Issue a certificate for names below an instance's DNS suffix
///
/// A name is the suffix itself or a name below it; the whole first label may be `*`. Other names are refused, and TLS
/// clients would refuse them, too, because the authority is constrained to the suffix. A certificate with the same
/// first name is replaced.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  homelab tls issue --instance acme app.acme.lab
  homelab tls issue --instance acme app.acme.lab www.acme.lab --days 30
  homelab tls issue --instance acme '*.acme.lab'      quoted, so that the shell leaves it alone")]
pub(crate) struct Issue {
    #[command(flatten)]
    of: Of,
    /// DNS names of the certificate; its files have the first one as their name
    #[arg(required = true, value_name = "HOST")]
    hosts: Vec<String>,
    /// Validity in days; a certificate never outlives its authority
    #[arg(long, value_name = "N", default_value_t = LONGEST_DAYS,
        value_parser = clap::value_parser!(u16).range(1..=i64::from(LONGEST_DAYS)))]
    days: u16,
}

impl Issue {
    pub(super) fn run(self, app: &App) -> Result<Exit, CliError> {
        let name = self.of.instance;
        app.find(&name)?;
        let issued = app.provisioner.tls_issue(&name, &self.hosts, self.days)?;
        app.printer.done(&format!("{}: issued for {name}", words::list(&issued.about.names)));
        app.printer.result(&described(&issued));
        app.printer.hint(&tried_by(&issued, &app.home().tls(&name).join("ca.crt")));
        Ok(Exit::Ok)
    }
}

fn described(issued: &Issued) -> String {
    facts(&[
        ("certificate", words::own_path(&issued.certificate)),
        ("key", words::own_path(&issued.key)),
        ("valid", validity(&issued.about)),
        ("fingerprint", issued.about.fingerprint.clone()),
    ])
}

/// The command with which a client tries the certificate, also if the host does not trust the authority.
fn tried_by(issued: &Issued, authority: &Utf8Path) -> String {
    let host = issued.about.names.first().map(|name| name.replacen('*', "app", 1)).unwrap_or_default();
    format!(
        "`curl --cacert {} https://{host}` tries it with the instance's authority",
        words::own_path(authority)
    )
}

#[cfg(test)]
mod tests {
    use super::super::tests::certificate;
    use super::*;

    #[test]
    fn an_issued_certificate_is_shown_with_its_files_and_a_command_to_try_it() {
        let about = certificate("*.acme.lab", &["*.acme.lab", "acme.lab"], 0x0A);
        let file = |extension| format!("/srv/acme/tls/_wildcard.acme.lab.{extension}").into();
        let issued = Issued { certificate: file("crt"), key: file("key"), about };
        let hint = tried_by(&issued, "/srv/acme/tls/ca.crt".into());
        insta::assert_snapshot!(format!("{}{hint}", described(&issued)));
    }
}
