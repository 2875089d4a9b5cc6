//! `homelab tls …`: an instance's own certificate authority, its certificates, and whether this host trusts it.

mod authority;
mod issue;
mod list;
mod trust;

use clap::{Args, Subcommand};
use jiff::Timestamp;
use provisioner::tls::Certificate;

use crate::app::App;
use crate::exit::{CliError, Exit};
use crate::table::table;
use crate::values::name;

/// The verbs of `homelab tls`, in the order in which they are needed.
#[derive(Debug, Subcommand)]
pub(crate) enum Tls {
    Init(authority::Init),
    Issue(issue::Issue),
    List(list::List),
    Trust(trust::Trust),
    Untrust(trust::Untrust),
    Rotate(authority::Rotate),
}

impl Tls {
    pub(crate) async fn run(self, app: &App) -> Result<Exit, CliError> {
        match self {
            Self::Init(verb) => verb.run(app),
            Self::Issue(verb) => verb.run(app),
            Self::List(verb) => verb.run(app),
            Self::Trust(verb) => verb.run(app).await,
            Self::Untrust(verb) => verb.run(app).await,
            Self::Rotate(verb) => verb.run(app).await,
        }
    }
}

/// The option for the instance whose certificates are meant.
#[derive(Debug, Args)]
struct Of {
    /// Name of the instance
    #[arg(long, value_name = "NAME", value_parser = name)]
    instance: String,
}

/// Indented lines of names and values, for below another line.
fn facts(rows: &[(&str, String)]) -> String {
    let row = |(name, value): &(&str, String)| vec![format!("  {name}"), value.clone()];
    table(&rows.iter().map(row).collect::<Vec<_>>())
}

/// `2026-01-02 to 2027-02-03`, in UTC.
fn validity(certificate: &Certificate) -> String {
    let day = |time: Timestamp| time.strftime("%Y-%m-%d").to_string();
    format!("{} to {}", day(certificate.not_before), day(certificate.not_after))
}

#[cfg(test)]
pub(super) mod tests {
    use provisioner::tls::Certificate;

    /// A certificate with fixed times and a fingerprint of this byte.
    pub(in crate::commands) fn certificate(subject: &str, names: &[&str], byte: u8) -> Certificate {
        let time = |text: &str| text.parse().expect("a time");
        Certificate {
            subject: subject.to_owned(),
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            serial: format!("4{byte:X}").repeat(8),
            not_before: time("2026-01-02T02:59:05Z"),
            not_after: time("2027-02-03T03:04:05Z"),
            fingerprint: vec![format!("{byte:02X}"); 32].join(":"),
        }
    }
}
