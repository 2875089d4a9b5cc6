//! `homelab tls init` and `homelab tls rotate`: create and replace an instance's authority.

use clap::Args;
use provisioner::tls::{Certificate, Rotated};

use super::{Of, facts, validity};
use crate::app::App;
use crate::exit::{CliError, Exit};
use crate::words;

/// Create an instance's certificate authority, if it has none
///
/// `homelab up` creates an authority for each new instance, so only older instances need this command. The authority
/// vouches for the instance's DNS suffix and the names below it; TLS clients refuse its certificates for any other
/// name.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  homelab tls init --instance acme")]
pub(crate) struct Init {
    #[command(flatten)]
    of: Of,
}

impl Init {
    pub(super) fn run(self, app: &App) -> Result<Exit, CliError> {
        let name = self.of.instance;
        let instance = app.find(&name)?;
        let init = app.provisioner.tls_init(&name)?;
        let about = init.authority.about;
        app.printer.done(&if init.made {
            format!("{name} now has a certificate authority: {}", about.subject)
        } else {
            format!("{name} already has a certificate authority: {}; nothing was changed", about.subject)
        });
        let path = words::own_path(&app.home().tls(&name).join("ca.crt"));
        app.printer.result(&described(&about, &format!("{}.lab", instance.tld_prefix), path));
        app.printer.hint(&format!(
            "`homelab tls issue --instance {name} app.{}.lab` issues a certificate",
            instance.tld_prefix
        ));
        Ok(Exit::Ok)
    }
}

fn described(about: &Certificate, suffix: &str, path: String) -> String {
    facts(&[
        ("vouches for", format!("{suffix} and names below it, nothing else")),
        ("certificate", path),
        ("valid", validity(about)),
        ("fingerprint", about.fingerprint.clone()),
    ])
}

/// Replace an instance's certificate authority and its certificates
///
/// Every certificate is issued again, with the same names and in the same files. If this host trusts the old authority,
/// it then trusts the new one instead; that needs root. Servers and other TLS clients use their old files until you
/// give them the new ones.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  homelab tls rotate --instance acme
  sudo homelab tls rotate --instance acme      if this host trusts the authority")]
pub(crate) struct Rotate {
    #[command(flatten)]
    of: Of,
}

impl Rotate {
    pub(super) async fn run(self, app: &App) -> Result<Exit, CliError> {
        let name = self.of.instance;
        app.find(&name)?;
        let trusted = app.provisioner.is_trusted(&name)?;
        if trusted {
            app.must_be_root()?;
        }
        let rotated = app.provisioner.rotate(&name).await?;
        app.printer.done(&format!("{} is replaced", rotated.authority.about.subject));
        app.printer.result(&renewed(&rotated, trusted));
        app.printer.hint("give servers their new files, and other TLS clients the new authority");
        Ok(Exit::Ok)
    }
}

fn renewed(rotated: &Rotated, trusted: bool) -> String {
    let mut rows = vec![
        ("before", rotated.old.clone().unwrap_or_else(|| "unreadable".to_owned())),
        ("now", rotated.authority.about.fingerprint.clone()),
        ("valid", validity(&rotated.authority.about)),
        ("trusted", if trusted { "by this host, instead of the old one" } else { "not by this host" }.into()),
    ];
    let leaf = |leaf: &provisioner::tls::Issued| ("issued again", words::own_path(&leaf.certificate));
    rows.extend(rotated.leaves.iter().map(leaf));
    facts(&rows)
}

#[cfg(test)]
mod tests {
    use provisioner::pki::Secret;
    use provisioner::tls::{Authority, Issued};

    use super::super::tests::certificate;
    use super::*;

    #[test]
    fn an_authority_is_shown_with_the_suffix_that_it_may_sign_for() {
        let about = certificate("HomeLab CA - acme", &[], 0xAB);
        let text = described(&about, "acme.lab", "~/.homelab/instances/acme/tls/ca.crt".to_owned());
        insta::assert_snapshot!(text);
    }

    #[test]
    fn a_rotation_shows_the_old_and_the_new_fingerprint() {
        let leaf = |name: &str| Issued {
            certificate: format!("/srv/acme/tls/{name}.crt").into(),
            key: format!("/srv/acme/tls/{name}.key").into(),
            about: certificate(name, &[name], 0x22),
        };
        let authority = Authority {
            certificate: String::new(),
            key: Secret::new(""),
            about: certificate("HomeLab CA - acme", &[], 0xCD),
        };
        let leaves = vec![leaf("_wildcard.acme.lab"), leaf("app.acme.lab")];
        let rotated = Rotated { old: Some("AB:AB".to_owned()), authority, leaves };
        insta::assert_snapshot!(renewed(&rotated, true));
        insta::assert_snapshot!(renewed(&Rotated { old: None, leaves: Vec::new(), ..rotated }, false));
    }
}
