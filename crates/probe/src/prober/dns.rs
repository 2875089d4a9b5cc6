//! DNS queries for the A record of a name, to one name server only.

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::SocketAddr;

use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use probe::{Nonce, ProbeOutcome};
use socket2::Type;

use super::attempt::{Attempt, TRIES};
use super::wire::Wire;

/// Queries an A record. Every answer counts, including a refusal, because it shows that the server was reached.
pub(super) async fn ask(attempt: &Attempt, server: SocketAddr, name: &str) -> io::Result<ProbeOutcome> {
    let id = RandomState::new().hash_one(&attempt.nonce) as u16;
    let packet = query(id, name, &attempt.nonce)?;
    let wire = Wire::towards(server, Type::DGRAM, None)?;
    let hear = async {
        let mut buffer = [0; 4096];
        loop {
            let (length, _) = wire.receive(&mut buffer).await?;
            if let Some(what) = reply(&buffer[..length], id) {
                return Ok(ProbeOutcome::Answered { identity: None, from: Some(server.ip()), what });
            }
        }
    };
    let heard = attempt.insist(TRIES, async || attempt.counted(wire.send(&packet)).await, hear).await;
    Ok(heard.unwrap_or_else(|error| wire.outcome(&error)))
}

fn query(id: u16, name: &str, nonce: &Nonce) -> io::Result<Vec<u8>> {
    let mut name = Name::from_ascii(name.replace('*', nonce.as_str())).map_err(io::Error::other)?;
    name.set_fqdn(true);
    let mut message = Message::new(id, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(name, RecordType::A));
    message.to_vec().map_err(io::Error::other)
}

/// The addresses in a reply, or the response code if there are none. `None` if the packet is no reply to our query.
fn reply(packet: &[u8], id: u16) -> Option<Vec<String>> {
    let message = Message::from_vec(packet).ok()?;
    if message.metadata.id != id || message.metadata.message_type != MessageType::Response {
        return None;
    }
    let address = |data: &RData| match data {
        RData::A(address) => Some(address.0.to_string()),
        RData::AAAA(address) => Some(address.0.to_string()),
        _ => None,
    };
    let mut addresses: Vec<_> = message.answers.iter().filter_map(|record| address(&record.data)).collect();
    addresses.sort();
    Some(match message.metadata.response_code {
        ResponseCode::NoError if addresses.is_empty() => vec!["NODATA".to_owned()],
        ResponseCode::NoError => addresses,
        ResponseCode::NXDomain => vec!["NXDOMAIN".to_owned()],
        ResponseCode::ServFail => vec!["SERVFAIL".to_owned()],
        ResponseCode::Refused => vec!["REFUSED".to_owned()],
        other => vec![format!("RCODE {}", u16::from(other))],
    })
}

#[cfg(test)]
mod tests {
    use hickory_proto::rr::{Record, rdata};

    use super::*;

    #[test]
    fn the_nonce_is_a_label_of_the_name_and_each_kind_of_dns_answer_is_recognised() {
        let nonce = Nonce::new(1, 1);
        let asked = query(7, "*.acme.lab", &nonce).unwrap();
        assert_eq!(Nonce::find_all(&asked), [nonce]);
        assert_eq!(reply(&asked, 7), None, "our own query");

        let mut message = Message::from_vec(&asked).unwrap();
        message.metadata.message_type = MessageType::Response;
        assert_eq!(reply(&message.to_vec().unwrap(), 7).unwrap(), ["NODATA"]);
        assert_eq!(reply(&message.to_vec().unwrap(), 8), None, "the reply to another query");
        message.metadata.response_code = ResponseCode::NXDomain;
        assert_eq!(reply(&message.to_vec().unwrap(), 7).unwrap(), ["NXDOMAIN"]);
        message.metadata.response_code = ResponseCode::NoError;
        for last in [3, 2] {
            let name = Name::from_ascii("x.acme.lab.").unwrap();
            message.add_answer(Record::from_rdata(name, 1, RData::A(rdata::A::new(192, 168, 48, last))));
        }
        assert_eq!(reply(&message.to_vec().unwrap(), 7).unwrap(), ["192.168.48.2", "192.168.48.3"]);
        assert!(query(7, "..", &Nonce::new(1, 1)).is_err());
    }
}
