//! The nonce of a probe.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Identifies a probe in its packets: `hl1-<run>-<number>`, with the run in eight hex digits and the probe's number
/// within the run in six. A nonce is a valid DNS label (RFC 1123), so it can be part of a name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Nonce(String);

impl Nonce {
    /// Prefix of every nonce.
    pub const PREFIX: &'static str = "hl1-";
    /// Length of every nonce, in bytes.
    pub const LENGTH: usize = Self::PREFIX.len() + 8 + 1 + 6;

    /// The nonce of the probe `number` of a run. Only the lowest 24 bits of `number` count.
    pub fn new(run: u32, number: u32) -> Self {
        Self(format!("{}{run:08x}-{:06x}", Self::PREFIX, number & 0x00ff_ffff))
    }

    /// The nonce at the start of `bytes`, or `None` if `bytes` do not start with one.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        if !bytes.starts_with(Self::PREFIX.as_bytes()) {
            return None; // cheap, because a witness tries each byte of all traffic
        }
        let text = std::str::from_utf8(bytes.get(..Self::LENGTH)?).ok()?;
        let (run, number) = text.strip_prefix(Self::PREFIX)?.split_once('-')?;
        let hex = |part: &str, length| {
            part.len() == length && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        };
        (hex(run, 8) && hex(number, 6)).then(|| Self(text.to_owned()))
    }

    /// The run, eight hex digits: `deadbeef`. Empty in a nonce that was read as JSON and is none.
    pub fn run(&self) -> &str {
        self.0.get(Self::PREFIX.len()..Self::PREFIX.len() + 8).unwrap_or_default()
    }

    /// All nonces in `bytes`, each once, in the order of their first occurrence.
    pub fn find_all(bytes: &[u8]) -> Vec<Self> {
        let mut found = Vec::new();
        for place in 0..bytes.len().saturating_sub(Self::LENGTH - 1) {
            if let Some(nonce) = Self::parse(&bytes[place..])
                && !found.contains(&nonce)
            {
                found.push(nonce);
            }
        }
        found
    }

    /// The nonce as text, such as `hl1-deadbeef-000007`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_is_found_at_any_place_of_a_text_and_nothing_else_is() {
        let (one, two) = (Nonce::new(0xdead_beef, 7), Nonce::new(1, 0x00ff_ffff));
        assert_eq!((one.as_str(), one.as_str().len()), ("hl1-deadbeef-000007", Nonce::LENGTH));
        assert_eq!((one.run(), two.run()), ("deadbeef", "00000001"));
        let text = format!("\0hl1-{one}{two}hl1-DEADBEEF-000007 {one}hl1-deadbeef-00000");
        assert_eq!(Nonce::find_all(text.as_bytes()), [one, two]);
        assert_eq!(Nonce::find_all(b"hl1-"), []);
    }
}
