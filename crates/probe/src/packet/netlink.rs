//! Messages of netlink(7) and the attributes in them. Pure.
//!
//! Bodies of messages are read by hand, by the offsets of the kernel's headers: a walk needs few fields of many kinds
//! of messages, and the full types of all of them would triple the size of this binary.

use std::net::IpAddr;

use netlink_packet_core::NlasIterator;

/// The length of a message's header: length, kind, flags, sequence number, port.
pub(crate) const HEADER: usize = 16;
pub(crate) const ERROR: u16 = 2; // NLMSG_ERROR
pub(crate) const DONE: u16 = 3; // NLMSG_DONE

/// A message in a datagram: kind, flags, body.
pub(crate) type Part<'a> = (u16, u16, &'a [u8]);

/// The first message of a datagram, and what is after it.
pub(crate) fn split(bytes: &[u8]) -> Option<(Part<'_>, &[u8])> {
    let length = usize::try_from(u32_at(bytes, 0)?).ok()?;
    let message = bytes.get(HEADER..length)?;
    let rest = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    Some(((u16_at(bytes, 4)?, u16_at(bytes, 6)?, message), rest))
}

/// The attributes in these bytes: number and value. A cut one is `None`.
pub(crate) fn checked_attributes(bytes: &[u8]) -> impl Iterator<Item = Option<(u16, &[u8])>> {
    NlasIterator::new(bytes).map(|attribute| {
        let value = attribute.ok()?.into_inner();
        let length = usize::from(u16_at(value, 0)?);
        let kind = u16_at(value, 2)? & netlink_packet_core::NLA_TYPE_MASK;
        Some((kind, value.get(4..length)?))
    })
}

/// The attributes in these bytes, up to a cut one.
pub(crate) fn attributes(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    checked_attributes(bytes).map_while(|attribute| attribute)
}

/// The attributes after the fixed part of a body.
pub(crate) fn after(body: &[u8], fixed: usize) -> impl Iterator<Item = (u16, &[u8])> {
    attributes(body.get(fixed..).unwrap_or_default())
}

/// The value of an attribute within a nested one.
pub(crate) fn within(bytes: &[u8], wanted: u16) -> Option<&[u8]> {
    attributes(bytes).find(|(kind, _)| *kind == wanted).map(|(_, value)| value)
}

/// An attribute for a request.
pub(crate) fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(4 + value.len()).unwrap_or(4);
    let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// An address of four or sixteen bytes.
pub(crate) fn address(value: &[u8]) -> Option<IpAddr> {
    let four = <[u8; 4]>::try_from(value).map(IpAddr::from);
    four.or_else(|_| <[u8; 16]>::try_from(value).map(IpAddr::from)).ok()
}

/// The text of an attribute, without the zero at its end.
pub(crate) fn text(value: &[u8]) -> String {
    let end = value.iter().position(|byte| *byte == 0).unwrap_or(value.len());
    String::from_utf8_lossy(&value[..end]).into_owned()
}

pub(crate) fn u8_at(bytes: &[u8], at: usize) -> Option<u8> {
    bytes.get(at).copied()
}

pub(crate) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

pub(crate) fn i32_at(bytes: &[u8], at: usize) -> Option<i32> {
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
}
