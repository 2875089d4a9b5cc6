//! The kernel's notices of changes to anything that the guard consists of. Their contents are not read: a notice causes
//! a comparison of the whole guard.

use std::io;

use netlink_sys::protocols::{NETLINK_NETFILTER, NETLINK_ROUTE};
use netlink_sys::{AsyncSocket, AsyncSocketExt, SocketAddr, TokioSocket};

/// Groups of rtnetlink(7), by linux/rtnetlink.h: links, IPv4 addresses, IPv4 routes, and the settings that rtnetlink
/// reports (RTNLGRP_IPV4_NETCONF, RTNLGRP_IPV6_NETCONF: forwarding, rp_filter).
const ROUTE_GROUPS: [u32; 5] = [1, 5, 7, 24, 25];
/// NFNLGRP_NFTABLES in linux/netfilter/nfnetlink.h: the group of `nft monitor`.
const TABLES: [u32; 1] = [7];

/// Two netlink sockets: one for the network, one for nftables.
pub(super) struct Notices {
    network: TokioSocket,
    tables: TokioSocket,
}

impl std::fmt::Debug for Notices {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Notices")
    }
}

impl Notices {
    pub(super) fn open() -> io::Result<Self> {
        Ok(Self {
            network: joined(NETLINK_ROUTE, &ROUTE_GROUPS)?,
            tables: joined(NETLINK_NETFILTER, &TABLES)?,
        })
    }

    /// Waits for the next notice. A receive error counts as a notice: the kernel dropped notices, so there were some.
    pub(super) async fn next(&self) {
        tokio::select! {
            _ = self.network.recv_from_full() => {}
            _ = self.tables.recv_from_full() => {}
        }
    }
}

fn joined(protocol: isize, groups: &[u32]) -> io::Result<TokioSocket> {
    let mut socket = TokioSocket::new(protocol)?;
    socket.socket_mut().bind(&SocketAddr::new(0, 0))?;
    for group in groups {
        socket.socket_mut().add_membership(*group)?;
    }
    Ok(socket)
}
