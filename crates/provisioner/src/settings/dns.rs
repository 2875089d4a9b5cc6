//! `dns`: how names come to resolve. Pure.

use std::fmt;

use camino::Utf8PathBuf;
use serde_json::Value;

use super::fields::{Fields, path, words};

/// How names of instances come to resolve on this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsSettings {
    /// What serves them.
    pub provider: DnsProvider,
    /// The file that [`DnsProvider::Hosts`] edits.
    pub hosts_file: Utf8PathBuf,
    /// The folder in which [`DnsProvider::Dnsmasq`] has a file.
    pub dnsmasq_folder: Utf8PathBuf,
    /// The command that makes dnsmasq read it, word by word; empty for none.
    pub restart: Vec<String>,
}

/// What serves the names of instances.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DnsProvider {
    /// Lines in the hosts file: exact names only.
    Hosts,
    /// A file for dnsmasq: every name below a suffix.
    Dnsmasq,
    /// Nobody.
    None,
}

impl DnsProvider {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Hosts, Self::Dnsmasq, Self::None];

    /// The name in the settings.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hosts => "hosts",
            Self::Dnsmasq => "dnsmasq",
            Self::None => "none",
        }
    }
}

impl fmt::Display for DnsProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Default for DnsSettings {
    /// The hosts file, where every Linux has it; dnsmasq's places are those of Debian.
    fn default() -> Self {
        Self {
            provider: DnsProvider::Hosts,
            hosts_file: "/etc/hosts".into(),
            dnsmasq_folder: "/etc/dnsmasq.d".into(),
            restart: ["systemctl", "restart", "dnsmasq"].map(str::to_owned).to_vec(),
        }
    }
}

/// What the file says, with the defaults for the rest.
pub(super) fn read(mut fields: Fields<'_>) -> DnsSettings {
    let usual = DnsSettings::default();
    let settings = DnsSettings {
        provider: fields.take("provider", provider).unwrap_or(usual.provider),
        hosts_file: fields.take("hostsFile", path).unwrap_or(usual.hosts_file),
        dnsmasq_folder: fields.take("dnsmasqFolder", path).unwrap_or(usual.dnsmasq_folder),
        restart: fields.take("restart", words).unwrap_or(usual.restart),
    };
    fields.end();
    settings
}

fn provider(value: &Value) -> Result<DnsProvider, String> {
    let found = DnsProvider::ALL.into_iter().find(|provider| value.as_str() == Some(provider.as_str()));
    found
        .ok_or_else(|| format!("is unknown; known: {}", DnsProvider::ALL.map(DnsProvider::as_str).join(", ")))
}
