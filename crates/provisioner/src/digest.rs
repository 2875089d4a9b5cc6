//! SHA-256 digests in hex, used as names and for comparison.

use sha2::{Digest, Sha256};

/// SHA-256 of a text, in hex.
pub(crate) fn digest(text: &str) -> String {
    digest_of([text])
}

/// SHA-256 of several parts, in hex, with the length of each part: `ab`, `c` and `a`, `bc` have different digests.
pub(crate) fn digest_of<T: AsRef<[u8]>>(parts: impl IntoIterator<Item = T>) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.as_ref().len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// SHA-256 of a certificate in DER, as `openssl x509 -fingerprint -sha256` prints it.
pub(crate) fn fingerprint(der: &[u8]) -> String {
    Sha256::digest(der).iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":")
}
