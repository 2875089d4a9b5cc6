//! The output of probers and witnesses. A pod may imitate them and send anything.

use probe::{Answer, Batch, Nonce, ProbeResult, WitnessLine};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Parses lines of the wire format, and searches the bytes for nonces as captured traffic.
///
/// # Panics
/// When a parsed line, written and parsed again, has another value.
pub fn wire(data: &[u8]) {
    for line in data.split(|byte| *byte == b'\n') {
        again::<ProbeResult>(line);
        again::<WitnessLine>(line);
        again::<Answer>(line);
        again::<Batch>(line);
    }
    let found = Nonce::find_all(data);
    for (place, nonce) in found.iter().enumerate() {
        assert_eq!(nonce.as_str().len(), Nonce::LENGTH);
        assert_eq!(Nonce::parse(nonce.as_str().as_bytes()).as_ref(), Some(nonce));
        assert!(!found[place + 1..].contains(nonce), "{nonce} was found twice");
    }
}

fn again<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(line: &[u8]) {
    let Ok(read) = serde_json::from_slice::<T>(line) else { return };
    let written = serde_json::to_string(&read).unwrap();
    assert_eq!(serde_json::from_str::<T>(&written).unwrap(), read, "{written}");
}
