//! `homelab tls list`: lists authorities and their certificates, with their validity.

use clap::Args;
use jiff::Timestamp;
use provisioner::Certificates;
use provisioner::tls::{Certificate, CertificateState};
use serde::Serialize;

use crate::app::App;
use crate::exit::{CliError, Exit};
use crate::printer::{json, messages, told};
use crate::table::table;
use crate::values::{Format, name};

/// List certificates and their validity
///
/// An orphaned certificate was issued by an earlier authority; `homelab tls rotate` issues it again. A certificate that
/// cannot be read is shown with its error.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  homelab tls list
  homelab tls list --instance acme --format json | jq -r '.certificates[].notAfter'")]
pub(crate) struct List {
    /// Only this instance [default: all instances]
    #[arg(long, value_name = "NAME", value_parser = name)]
    instance: Option<String>,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

impl List {
    pub(super) fn run(self, app: &App) -> Result<Exit, CliError> {
        let names = match &self.instance {
            Some(name) => vec![app.find(name)?.name],
            None => app.names()?,
        };
        let now = Timestamp::now();
        let lines: Vec<Line> = names
            .iter()
            .flat_map(|name| match app.provisioner.certificates(name) {
                Ok(certificates) => of(name, &certificates, now),
                Err(error) => vec![Line::broken(name, told(&messages(&error)))],
            })
            .collect();
        match self.format {
            Format::Text => {
                app.printer.result(&text(&lines));
                if lines.is_empty() {
                    app.printer.hint("there are no instances yet: `sudo homelab up NAME` creates one");
                }
            }
            Format::Json => app.printer.result(&json(&View { version: 1, certificates: lines })),
        }
        Ok(Exit::Ok)
    }
}

/// `homelab tls list --format json`
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct View {
    /// The version of this format.
    version: u32,
    /// The certificates, grouped by instance, the authority first.
    certificates: Vec<Line>,
}

#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(untagged)]
enum Line {
    /// A certificate.
    Sound(Box<Sound>),
    /// A certificate that cannot be read.
    Broken(Broken),
}

/// A certificate.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
struct Sound {
    /// The instance that it belongs to.
    instance: String,
    /// `authority` or `leaf`.
    kind: &'static str,
    /// Its subject's common name.
    subject: String,
    /// The DNS names that it is for; empty for an authority.
    names: Vec<String>,
    /// `valid`, `expiring` (within 30 days), `expired` or `orphaned`.
    status: String,
    /// Whether this host trusts the authority; null for a leaf.
    trusted: Option<bool>,
    /// Its serial number, in hexadecimal.
    serial: String,
    /// When it begins (RFC 3339).
    not_before: String,
    /// When it ends (RFC 3339).
    not_after: String,
    /// SHA-256 of the certificate.
    fingerprint: String,
}

/// A certificate that cannot be read.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Broken {
    /// The instance that it belongs to.
    instance: String,
    /// Always `broken`.
    status: &'static str,
    /// What is wrong with it.
    error: String,
}

impl Line {
    fn sound(instance: &str, about: &Certificate, standing: CertificateState, trusted: Option<bool>) -> Self {
        Self::Sound(Box::new(Sound {
            instance: instance.to_owned(),
            kind: if trusted.is_some() { "authority" } else { "leaf" },
            subject: about.subject.clone(),
            names: about.names.clone(),
            status: standing.to_string(),
            trusted,
            serial: about.serial.clone(),
            not_before: about.not_before.to_string(),
            not_after: about.not_after.to_string(),
            fingerprint: about.fingerprint.clone(),
        }))
    }

    fn broken(instance: &str, error: String) -> Self {
        Self::Broken(Broken { instance: instance.to_owned(), status: "broken", error })
    }
}

/// An instance's lines, its authority first.
fn of(instance: &str, certificates: &Certificates, now: Timestamp) -> Vec<Line> {
    let authority = &certificates.authority.about;
    let first = Line::sound(instance, authority, authority.standing(now), Some(certificates.trusted));
    let leaves = certificates.leaves.iter().map(|found| match &found.certificate {
        Ok((about, standing)) => Line::sound(instance, about, *standing, None),
        Err(error) => Line::broken(instance, told(&messages(&error))),
    });
    std::iter::once(first).chain(leaves).collect()
}

fn text(lines: &[Line]) -> String {
    let header = ["INSTANCE", "CERTIFICATE", "ENDS", "STATUS", "FINGERPRINT"].map(str::to_owned).to_vec();
    let rows = lines.iter().map(|line| match line {
        Line::Sound(sound) => vec![
            sound.instance.clone(),
            if sound.names.is_empty() { sound.subject.clone() } else { sound.names.join(", ") },
            sound.not_after[..10].to_owned(), // the day
            if sound.trusted == Some(true) {
                format!("{}, trusted", sound.status)
            } else {
                sound.status.clone()
            },
            // The first 8 bytes tell two certificates apart. The JSON has all of them.
            format!("{}…", &sound.fingerprint[..23]),
        ],
        Line::Broken(Broken { instance, status, error }) => {
            let dash = || "-".to_owned();
            vec![instance.clone(), dash(), dash(), (*status).to_owned(), dash(), error.replace("\n", " ")]
        }
    });
    table(&std::iter::once(header).chain(rows).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use provisioner::pki::Secret;
    use provisioner::tls::{Authority, Found, TlsError};

    use super::super::tests::certificate;
    use super::*;

    fn some() -> Vec<Line> {
        let leaf = |name: &str, standing| Found {
            path: format!("/srv/acme/tls/{name}.crt").into(),
            certificate: Ok((certificate(name, &[name, "www.acme.lab"], 0x22), standing)),
        };
        let unreadable =
            TlsError::Unreadable { path: "/srv/acme/tls/old.crt".into(), why: "it is not PEM".to_owned() };
        let certificates = Certificates {
            authority: Authority {
                certificate: String::new(),
                key: Secret::new(""),
                about: certificate("HomeLab CA - acme", &[], 0xAB),
            },
            trusted: true,
            leaves: vec![
                leaf("app.acme.lab", CertificateState::Valid),
                leaf("db.acme.lab", CertificateState::Orphaned),
                Found { path: "/srv/acme/tls/old.crt".into(), certificate: Err(unreadable) },
            ],
        };
        of("acme", &certificates, "2027-01-20T00:00:00Z".parse().expect("a time"))
    }

    #[test]
    fn the_authority_is_listed_first_and_an_unreadable_certificate_with_its_error() {
        insta::assert_snapshot!(text(&some()));
    }

    #[test]
    fn programs_get_every_field_by_name() {
        insta::assert_json_snapshot!(View { version: 1, certificates: some() });
    }

    #[test]
    fn the_list_is_as_published() {
        let view = View { version: 1, certificates: some() };
        crate::commands::instance::tests::published("tls-list.json", &[view]);
    }
}
