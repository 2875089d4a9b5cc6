//! Bare IP packets of any protocol.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use probe::{Nonce, ProbeOutcome};
use socket2::Type;

use super::attempt::{Attempt, TRIES};
use super::reply::{answered, sctp};
use super::wire::Wire;
use crate::packet::{UNUSED_PORT, sctp_init, without_ip_header};

/// SCTP's IANA number.
const SCTP: u8 = 132;

/// Sends the nonce as the payload of a protocol. The kernel adds the IP header (raw(7)).
pub(super) async fn ask(attempt: &Attempt, to: Ipv4Addr, protocol: u8) -> io::Result<ProbeOutcome> {
    let wire = Wire::towards(SocketAddr::from((to, 0)), Type::RAW, Some(protocol.into()))?;
    let packet = match protocol {
        SCTP => sctp_init(&attempt.nonce, UNUSED_PORT, UNUSED_PORT),
        _ => attempt.nonce.as_str().as_bytes().to_vec(),
    };
    let hear = async {
        let mut buffer = [0; 2048];
        loop {
            let (length, _) = wire.receive(&mut buffer).await?;
            let Some((_, payload)) = without_ip_header(&buffer[..length]) else { continue };
            if let Some(what) = reply(protocol, payload, &attempt.nonce) {
                return Ok(answered(Some(to.into()), what));
            }
        }
    };
    let heard = attempt.insist(TRIES, async || attempt.counted(wire.send(&packet)).await, hear).await;
    Ok(heard.unwrap_or_else(|error| wire.outcome(&error)))
}

/// The answer in words, if a packet of the same protocol from the target answers ours. Other packets from the target
/// prove nothing.
fn reply(protocol: u8, payload: &[u8], nonce: &Nonce) -> Option<&'static str> {
    match protocol {
        SCTP => sctp(payload),
        _ => Nonce::find_all(payload).contains(nonce).then_some("the nonce came back"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::INITIATE_TAG;

    #[test]
    fn only_an_answer_to_the_packet_that_was_sent_is_a_reply() {
        let nonce = Nonce::new(1, 1);
        let mut chunk = sctp_init(&nonce, 1, 2);
        assert_eq!(reply(SCTP, &chunk, &nonce), None, "an INIT of the target's own");
        chunk[4..8].copy_from_slice(&INITIATE_TAG.to_be_bytes());
        for (kind, expected) in [(2, Some("SCTP INIT ACK")), (6, Some("SCTP ABORT")), (4, None)] {
            chunk[12] = kind;
            assert_eq!(reply(SCTP, &chunk, &nonce), expected);
        }
        assert_eq!(reply(47, b"something else", &nonce), None);
        assert_eq!(reply(47, nonce.as_str().as_bytes(), &nonce), Some("the nonce came back"));
        assert_eq!(reply(SCTP, b"short", &nonce), None);
    }
}
