//! Hardware addresses of Ethernet.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An Ethernet address, written as six bytes in hex, such as `02:00:c0:a8:3c:0a`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Mac(pub [u8; 6]);

/// A text is not an Ethernet address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an Ethernet address such as 02:00:c0:a8:3c:0a")]
pub struct MacError(String);

impl Mac {
    /// The address of all systems on a link.
    pub const BROADCAST: Self = Self([0xff; 6]);

    /// Whether the address is that of a group, broadcast included (IEEE 802, the lowest bit of the first byte).
    pub fn is_group(self) -> bool {
        self.0[0] & 1 == 1
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        f.pad(&format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}"))
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Mac {
    type Err = MacError;

    fn from_str(text: &str) -> Result<Self, MacError> {
        let hex = |part: &str| {
            let is_pair = part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
            is_pair.then(|| u8::from_str_radix(part, 16).ok()).flatten()
        };
        let bytes: Option<Vec<u8>> = text.split(':').map(hex).collect();
        let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or_else(|| MacError(text.to_owned()))
    }
}

impl TryFrom<String> for Mac {
    type Error = MacError;

    fn try_from(text: String) -> Result<Self, MacError> {
        text.parse()
    }
}

impl From<Mac> for String {
    fn from(mac: Mac) -> Self {
        mac.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_as_it_is_written_and_nothing_else_is_one() {
        let mac = Mac([2, 0, 0xc0, 0xa8, 0x3c, 0x0a]);
        assert_eq!((mac.to_string().as_str(), "02:00:C0:a8:3c:0a".parse()), ("02:00:c0:a8:3c:0a", Ok(mac)));
        for wrong in ["", "02:00:c0:a8:3c", "02:00:c0:a8:3c:0a:00", "2:0:c0:a8:3c:a", "02:00:c0:a8:3c:+a"] {
            assert_eq!(wrong.parse::<Mac>(), Err(MacError(wrong.to_owned())));
        }
        assert!(Mac::BROADCAST.is_group() && Mac([0x33, 0x33, 0, 0, 0, 1]).is_group() && !mac.is_group());
    }
}
