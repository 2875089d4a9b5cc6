//! Classifies a peer's answer: a witness's answer to this nonce, or other data.

use std::net::IpAddr;

use probe::{Nonce, ProbeOutcome};

use crate::packet::INITIATE_TAG;

/// The most bytes of other data that the answer repeats.
const REPEATED: usize = 80;

/// An answer described in words, without a witness's name.
pub(super) fn answered(from: Option<IpAddr>, what: impl Into<String>) -> ProbeOutcome {
    ProbeOutcome::Answered { identity: None, from, what: vec![what.into()] }
}

/// The outcome for received bytes.
pub(super) fn said(nonce: &Nonce, from: Option<IpAddr>, bytes: &[u8]) -> ProbeOutcome {
    let identity = identity(nonce, bytes);
    let what = match &identity {
        Some(_) => "witness".to_owned(),
        None => format!("said \"{}\"", bytes[..bytes.len().min(REPEATED)].escape_ascii()),
    };
    ProbeOutcome::Answered { identity, from, what: vec![what] }
}

/// The witness's name, if these bytes are its answer to exactly this nonce.
pub(super) fn identity(nonce: &Nonce, bytes: &[u8]) -> Option<String> {
    let line = std::str::from_utf8(bytes).ok()?.strip_suffix('\n')?;
    let (identity, echoed) = line.split_once(' ')?;
    (echoed == nonce.as_str() && !identity.is_empty()).then(|| identity.to_owned())
}

/// The answer of a target's SCTP stack to our INIT, in words: an INIT ACK, or an ABORT, with our verification tag (RFC
/// 9260, sections 3.3.3 and 3.3.7). `None` for other packets.
pub(super) fn sctp(packet: &[u8]) -> Option<&'static str> {
    const HEADER: usize = 12;
    let ours = packet.get(4..8)? == INITIATE_TAG.to_be_bytes();
    match (ours, packet.get(HEADER)?) {
        (true, 2) => Some("SCTP INIT ACK"),
        (true, 6) => Some("SCTP ABORT"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_answer_to_this_nonce_has_an_identity() {
        let nonce = Nonce::new(1, 2);
        assert_eq!(identity(&nonce, b"acme hl1-00000001-000002\n"), Some("acme".to_owned()));
        for other in
            ["acme hl1-00000001-000003\n", "acme hl1-00000001-000002", " hl1-00000001-000002\n", "\n", ""]
        {
            assert_eq!(identity(&nonce, other.as_bytes()), None, "{other:?}");
        }
        let stranger = said(&nonce, None, b"HTTP/1.1 400\r\n\xff");
        let expected = answered(None, r#"said "HTTP/1.1 400\r\n\xff""#);
        assert_eq!(stranger, expected);
    }
}
