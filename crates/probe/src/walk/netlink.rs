//! A netlink socket for dumps, and the attributes in the answers (netlink(7)).
//!
//! Bodies of messages are read by hand, by the offsets of the kernel's headers: a walk needs few fields of many kinds
//! of messages, and the full types of all of them would triple the size of this binary.

use std::io;

use netlink_packet_core::{NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NlasIterator};
use netlink_sys::Socket;

/// The length of a message's header: length, kind, flags, sequence number, port.
const HEADER: usize = 16;
const ERROR: u16 = 2; // NLMSG_ERROR
const DONE: u16 = 3; // NLMSG_DONE
/// How often a dump is repeated that the kernel calls inconsistent.
const TRIES: u32 = 5;

/// A message: its kind, and its body after the header.
pub(super) type Message = (u16, Vec<u8>);

/// A netlink socket of the namespace in which it was opened.
pub(super) struct Netlink(Socket);

impl Netlink {
    pub(super) fn open(protocol: isize) -> io::Result<Self> {
        let mut socket = Socket::new(protocol)?;
        socket.bind_auto()?;
        Ok(Self(socket))
    }

    /// All messages that answer a request for everything.
    pub(super) fn dump(&self, kind: u16, body: &[u8]) -> io::Result<Vec<Message>> {
        for _ in 0..TRIES {
            if let Some(messages) = self.exchange(kind, NLM_F_REQUEST | NLM_F_DUMP, body)? {
                return Ok(messages);
            }
        }
        Err(io::Error::other("it changed during each of several dumps"))
    }

    /// The one message that answers a request for one object.
    pub(super) fn one(&self, kind: u16, body: &[u8]) -> io::Result<Option<Message>> {
        Ok(self.exchange(kind, NLM_F_REQUEST, body)?.and_then(|messages| messages.into_iter().next()))
    }

    /// `None` if the kernel calls the dump inconsistent.
    fn exchange(&self, kind: u16, flags: u16, body: &[u8]) -> io::Result<Option<Vec<Message>>> {
        let length = u32::try_from(HEADER + body.len()).map_err(io::Error::other)?;
        let mut request = length.to_ne_bytes().to_vec();
        request.extend(kind.to_ne_bytes());
        request.extend(flags.to_ne_bytes());
        request.extend([0; 8]);
        request.extend(body);
        self.0.send(&request, 0)?;
        let (mut messages, mut consistent, single) = (Vec::new(), true, flags & NLM_F_DUMP == 0);
        loop {
            let (datagram, _) = self.0.recv_from_full()?;
            let mut rest = datagram.as_slice();
            while let Some((message, after)) = split(rest) {
                let (kind, flags, body) = message;
                consistent &= flags & NLM_F_DUMP_INTR == 0;
                match kind {
                    // An error of 0 is an acknowledgement.
                    ERROR | DONE => {
                        return match i32_at(body, 0).unwrap_or(0) {
                            code if code < 0 => Err(io::Error::from_raw_os_error(-code)),
                            _ => Ok(consistent.then_some(messages)),
                        };
                    }
                    kind => messages.push((kind, body.to_vec())),
                }
                rest = after;
            }
            if single {
                return Ok(Some(messages));
            }
        }
    }
}

/// A message in a datagram: kind, flags, body.
type Part<'a> = (u16, u16, &'a [u8]);

/// The first message of a datagram, and what is after it.
fn split(bytes: &[u8]) -> Option<(Part<'_>, &[u8])> {
    let length = usize::try_from(u32_at(bytes, 0)?).ok()?;
    let message = bytes.get(HEADER..length)?;
    let rest = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    Some(((u16_at(bytes, 4)?, u16_at(bytes, 6)?, message), rest))
}

/// The attributes in these bytes: number and value.
pub(super) fn attributes(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    NlasIterator::new(bytes).map_while(Result::ok).map(|attribute| {
        let value = attribute.into_inner();
        let length = usize::from(u16_at(value, 0).unwrap_or(4));
        let kind = u16_at(value, 2).unwrap_or(0) & netlink_packet_core::NLA_TYPE_MASK;
        (kind, value.get(4..length).unwrap_or_default())
    })
}

/// The attributes after the fixed part of a body.
pub(super) fn after(body: &[u8], fixed: usize) -> impl Iterator<Item = (u16, &[u8])> {
    attributes(body.get(fixed..).unwrap_or_default())
}

/// The value of an attribute within a nested one.
pub(super) fn within(bytes: &[u8], wanted: u16) -> Option<&[u8]> {
    attributes(bytes).find(|(kind, _)| *kind == wanted).map(|(_, value)| value)
}

/// An attribute for a request.
pub(super) fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(4 + value.len()).unwrap_or(4);
    let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// The text of an attribute, without the zero at its end.
pub(super) fn text(value: &[u8]) -> String {
    let end = value.iter().position(|byte| *byte == 0).unwrap_or(value.len());
    String::from_utf8_lossy(&value[..end]).into_owned()
}

pub(super) fn u8_at(bytes: &[u8], at: usize) -> Option<u8> {
    bytes.get(at).copied()
}

pub(super) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

pub(super) fn i32_at(bytes: &[u8], at: usize) -> Option<i32> {
    Some(i32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_read_as_they_were_written_and_a_cut_one_ends_the_list() {
        let mut bytes = attribute(3, b"eth0\0");
        bytes.extend(attribute(5 | 0x8000, &7_u32.to_ne_bytes()));
        let all: Vec<(u16, &[u8])> = attributes(&bytes).collect();
        assert_eq!(all, [(3, b"eth0\0".as_slice()), (5, &7_u32.to_ne_bytes())]);
        assert_eq!((text(all[0].1), u32_at(all[1].1, 0)), ("eth0".to_owned(), Some(7)));
        assert_eq!(attributes(&bytes[..bytes.len() - 2]).count(), 1);
    }

    #[test]
    fn links_of_this_namespace_are_dumped() {
        let route = Netlink::open(0).unwrap();
        let links = route.dump(18, &[0; 16]).unwrap();
        let names: Vec<String> = links
            .iter()
            .filter_map(|(_, body)| after(body, 16).find(|(kind, _)| *kind == 3).map(|(_, name)| text(name)))
            .collect();
        assert!(names.contains(&"lo".to_owned()), "{names:?}");
        assert_eq!(route.dump(0x7fff, &[]).unwrap_err().raw_os_error(), Some(95), "EOPNOTSUPP");
    }
}
