//! DNS labels.

use std::fmt;
use std::str::FromStr;

/// A lower-case DNS label (RFC 1123, section 2.1): letters, digits and hyphens, 1 to 63 characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Label(String);

impl Label {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let why = match text {
            "" => "is empty",
            _ if !text.chars().all(inner) => "is not a DNS label: only a-z, 0-9 and - are allowed",
            _ if text.starts_with('-') || text.ends_with('-') => {
                "is not a DNS label: it starts or ends with -"
            }
            _ if text.len() > 63 => "is not a DNS label: it has more than 63 characters",
            _ => return Ok(Self(text.to_owned())),
        };
        Err(why.to_owned())
    }

    /// The label.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for Label {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::parse(text)
    }
}
