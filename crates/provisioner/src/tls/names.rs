//! The names that a leaf may have: DNS names below the instance's suffix. Pure.

use std::net::IpAddr;

use crate::request::Label;

use super::TlsError;

/// The longest DNS name, in characters (RFC 1035, section 2.3.4, less the bytes of the wire format).
const LONGEST: usize = 253;

/// DNS names of one instance: at least one, in lower case, each once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostNames(Vec<String>);

/// A name for which no certificate is issued.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{name}' {why}")]
pub struct Refused {
    /// The name as it was requested.
    pub name: String,
    /// The reason, as the end of a sentence: `is neither acme.lab nor below it`.
    pub why: String,
}

impl HostNames {
    /// Accepts the suffix itself and names below it. `*` may stand for the whole leftmost label, as TLS clients match
    /// it (RFC 6125, section 6.4.3).
    ///
    /// # Errors
    /// [`TlsError::Refused`] with every other name and the reason.
    pub fn parse<T: AsRef<str>>(suffix: &str, names: &[T]) -> Result<Self, TlsError> {
        let (mut good, mut refused) = (Vec::new(), Vec::new());
        for name in names.iter().map(AsRef::as_ref) {
            let lower = name.to_ascii_lowercase();
            match objection(suffix, &lower) {
                Some(why) => refused.push(Refused { name: name.to_owned(), why }),
                None if good.contains(&lower) => {}
                None => good.push(lower),
            }
        }
        if names.is_empty() {
            refused.push(Refused {
                name: String::new(),
                why: "is empty: at least one name is needed".to_owned(),
            });
        }
        if refused.is_empty() {
            Ok(Self(good))
        } else {
            Err(TlsError::Refused { suffix: suffix.to_owned(), names: refused })
        }
    }

    /// The first name, after which the leaf's files are named.
    pub fn first(&self) -> &str {
        &self.0[0] // `parse` refuses an empty list
    }

    /// All names.
    pub fn as_slice(&self) -> &[String] {
        &self.0
    }
}

fn objection(suffix: &str, name: &str) -> Option<String> {
    if name.parse::<IpAddr>().is_ok() {
        return Some(
            "is an IP address: the authority excludes all of them, so TLS clients would refuse it".to_owned(),
        );
    }
    let host = name.strip_prefix("*.").unwrap_or(name);
    if host.contains('*') {
        return Some("has a * that is not the whole leftmost label".to_owned());
    }
    for label in host.split('.') {
        if let Err(why) = label.parse::<Label>() {
            return Some(format!("has the label '{label}', which {why}"));
        }
    }
    if name.len() > LONGEST {
        return Some(format!("has more than {LONGEST} characters"));
    }
    let below = host == suffix || host.strip_suffix(suffix).is_some_and(|rest| rest.ends_with('.'));
    (!below).then(|| format!("is neither {suffix} nor below it"))
}
