//! The IPv6 addresses that the audit adds to nodes, so that routed IPv6 can be asked where nodes have none. Pure.
//!
//! They are unique local addresses (RFC 4193) with a fixed prefix. The rest is an instance's IPv4 network and the node's
//! IPv4 address, so that no two nodes of a run have the same address.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

/// The first 32 bits of all added addresses.
const PREFIX: [u16; 2] = [0xfd6c, 0x6162];

/// The network of an instance with this IPv4 network, a /64: `fd6c:6162:c0a8:3c00::/64` for 192.168.60.0/24.
pub(super) fn network(of: Ipv4Net) -> Ipv6Net {
    let [a, b, c, d] = of.network().octets().map(u16::from);
    let address = Ipv6Addr::new(PREFIX[0], PREFIX[1], a << 8 | b, c << 8 | d, 0, 0, 0, 0);
    Ipv6Net::new_assert(address, 64)
}

/// The address beside this IPv4 address of the network: `fd6c:6162:c0a8:3c00::c0a8:3c0a` for 192.168.60.10.
pub(super) fn beside(address: Ipv4Addr, net: Ipv4Net) -> Ipv6Addr {
    let host = u128::from(u32::from(address));
    Ipv6Addr::from(u128::from(network(net).network()) | host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_instance_has_a_network_and_each_node_an_address_of_its_own() {
        let nets: [Ipv4Net; 3] =
            ["192.168.60.0/27", "192.168.60.32/27", "192.168.61.0/24"].map(|net| net.parse().unwrap());
        let networks = nets.map(|net| network(net).to_string());
        let expected = ["fd6c:6162:c0a8:3c00::/64", "fd6c:6162:c0a8:3c20::/64", "fd6c:6162:c0a8:3d00::/64"];
        assert_eq!(networks, expected);
        let node = beside(Ipv4Addr::new(192, 168, 60, 42), nets[1]);
        assert_eq!(node.to_string(), "fd6c:6162:c0a8:3c20::c0a8:3c2a");
        assert!(network(nets[1]).contains(&node) && !network(nets[0]).contains(&node));
    }
}
