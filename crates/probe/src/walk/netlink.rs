//! A netlink socket for dumps (netlink(7)).

use std::io;

use netlink_packet_core::{NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST};
use netlink_sys::Socket;

use crate::packet::netlink::{DONE, ERROR, HEADER, i32_at, split};

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::netlink::{after, text};

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
