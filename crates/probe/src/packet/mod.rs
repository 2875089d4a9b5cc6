//! Packets as bytes: builds packets, and parses captured ones. No function in here uses a socket.

mod build;
mod frame;
mod ip;
mod neighbour;
pub(crate) mod netlink;
mod peer;
mod seen;

pub(crate) use build::{
    Ends, INITIATE_TAG, UNUSED_PORT, arp_request, echo4, echo6, filled, neighbour_solicitation, overlay,
    router_advertisement, sctp_init, solicited_node, syn,
};
pub(crate) use frame::{ALL_NODES, Kind, ethernet, framed, link_local};
pub(crate) use ip::{Received, Refusal, ip, number, ports, received, refusal, seal, udp, unspecified};
pub(crate) use neighbour::{neighbour_request, neighbours};
pub(crate) use peer::{Ends as PeerEnds, of_frame, of_packet};
pub(crate) use seen::{Seen, arp_reply, seen, without_ip_header};
