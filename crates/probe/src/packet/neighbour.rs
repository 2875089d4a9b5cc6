//! The kernel's table of neighbours, as messages of rtnetlink(7). Pure.

use std::net::IpAddr;

use probe::Mac;

use super::netlink::{DONE, ERROR, HEADER, address, checked_attributes, split, u32_at};

const BODY: usize = 12; // struct ndmsg

/// The request for all neighbours.
pub(crate) fn neighbour_request() -> Vec<u8> {
    const GET_NEIGHBOURS: u16 = 30; // RTM_GETNEIGH
    const ALL: u16 = 0x301; // NLM_F_REQUEST | NLM_F_DUMP
    let mut message = Vec::with_capacity(HEADER + BODY);
    message.extend_from_slice(&((HEADER + BODY) as u32).to_ne_bytes());
    message.extend_from_slice(&GET_NEIGHBOURS.to_ne_bytes());
    message.extend_from_slice(&ALL.to_ne_bytes());
    message.resize(HEADER + BODY, 0); // of all families
    message
}

/// The neighbours on a link in a part of the answer, and whether this is the last part. Groups, and neighbours without
/// a hardware address, are left out.
pub(crate) fn neighbours(part: &[u8], link: u32) -> (Vec<(IpAddr, Mac)>, bool) {
    const NEIGHBOUR: u16 = 28; // RTM_NEWNEIGH
    let (mut found, mut rest) = (Vec::new(), part);
    while let Some(((kind, _, body), next)) = split(rest) {
        match kind {
            ERROR | DONE => return (found, true),
            NEIGHBOUR => found.extend(neighbour(body, link)),
            _ => {}
        }
        rest = next;
    }
    (found, false)
}

fn neighbour(body: &[u8], link: u32) -> Option<(IpAddr, Mac)> {
    const ADDRESS: u16 = 1; // NDA_DST
    const HARDWARE: u16 = 2; // NDA_LLADDR
    let index = u32_at(body, 4)?;
    let (mut own, mut mac) = (None, None);
    for attribute in checked_attributes(body.get(BODY..)?) {
        match attribute? {
            (ADDRESS, value) => own = address(value),
            (HARDWARE, value) => mac = <[u8; 6]>::try_from(value).ok().map(Mac),
            _ => {}
        }
    }
    let mac = mac.filter(|mac| index == link && !mac.is_group() && mac.0 != [0; 6])?;
    Some((own?, mac))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(link: u32, address: &[u8], mac: &[u8]) -> Vec<u8> {
        let attribute = |kind: u16, value: &[u8]| {
            let mut bytes = (4 + value.len() as u16).to_ne_bytes().to_vec();
            bytes.extend_from_slice(&kind.to_ne_bytes());
            bytes.extend_from_slice(value);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
            bytes
        };
        let mut body = [&[2, 0, 0, 0][..], &link.to_ne_bytes(), &[2, 0, 0, 1]].concat();
        body.extend(attribute(1, address));
        body.extend(attribute(2, mac));
        let header = [&(16 + body.len() as u32).to_ne_bytes()[..], &28_u16.to_ne_bytes(), &[0; 10]].concat();
        [header, body].concat()
    }

    #[test]
    fn neighbours_of_the_link_are_read_up_to_the_last_message() {
        let six: std::net::Ipv6Addr = "fe80::2".parse().unwrap();
        let done = [&20_u32.to_ne_bytes()[..], &3_u16.to_ne_bytes(), &[0; 14]].concat();
        let table = [
            row(7, &[192, 168, 48, 2], &[2, 0, 0, 0, 0, 2]),
            row(8, &[192, 168, 49, 2], &[2, 0, 0, 0, 0, 3]),
            row(7, &six.octets(), &[2, 0, 0, 0, 0, 4]),
            row(7, &[224, 0, 0, 22], &[1, 0, 0x5e, 0, 0, 0x16]),
            row(7, &[192, 168, 48, 9], &[]),
            done,
        ]
        .concat();
        let expected = vec![
            (IpAddr::from([192, 168, 48, 2]), Mac([2, 0, 0, 0, 0, 2])),
            (six.into(), Mac([2, 0, 0, 0, 0, 4])),
        ];
        assert_eq!(neighbours(&table, 7), (expected, true));
        assert_eq!(neighbours(&table[..60], 9), (Vec::new(), false));
        assert_eq!(neighbour_request().len(), 28);
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_stop_the_reader(bytes: Vec<u8>, length in 0_u32..80) {
            neighbours(&bytes, 1);
            let head = [&length.to_ne_bytes()[..], &28_u16.to_ne_bytes(), &bytes].concat();
            neighbours(&head, 1);
        }
    }
}
