//! Reads the section `dns`: how names of instances are recorded on this host. Pure.

use serde_json::Value;

use crate::dns::Dns;
use crate::request::Label;

use super::fields::{Fields, path, words};

/// The values of `provider`.
const PROVIDERS: [&str; 3] = ["hosts", "dnsmasq", "none"];

/// Reads the section. The default is the hosts file at its usual path; the defaults for dnsmasq are those of Debian.
/// Keys of a provider that is not chosen are checked, too.
pub(super) fn read(mut fields: Fields<'_>) -> Dns {
    let provider = fields.take("provider", provider).unwrap_or_else(|| "hosts".to_owned());
    let file = fields.take("hostsFile", path).unwrap_or_else(|| "/etc/hosts".into());
    let labels = fields.take("labels", labels).unwrap_or_default();
    let folder = fields.take("dnsmasqFolder", path).unwrap_or_else(|| "/etc/dnsmasq.d".into());
    let restart = fields.take("restart", words);
    let restart = restart.unwrap_or_else(|| ["systemctl", "restart", "dnsmasq"].map(str::to_owned).to_vec());
    fields.end();
    match provider.as_str() {
        "dnsmasq" => Dns::Dnsmasq { folder, restart: Some(restart).filter(|words| !words.is_empty()) },
        "none" => Dns::None,
        _ => Dns::Hosts { file, labels },
    }
}

fn labels(value: &Value) -> Result<Vec<Label>, String> {
    words(value)?.iter().map(|word| word.parse().map_err(|why| format!("'{word}' {why}"))).collect()
}

fn provider(value: &Value) -> Result<String, String> {
    let found = PROVIDERS.into_iter().find(|provider| value.as_str() == Some(provider));
    found.map(str::to_owned).ok_or_else(|| format!("is unknown; known: {}", PROVIDERS.join(", ")))
}
