//! Packets as bytes: builds packets, and parses captured ones. No function in here uses a socket.

mod build;
mod seen;

pub(crate) use build::{
    Ends, INITIATE_TAG, arp_request, echo4, echo6, filled, neighbour_solicitation, overlay,
    router_advertisement, sctp_init, solicited_node, syn,
};
pub(crate) use seen::{Seen, arp_reply, seen, without_ip_header};
