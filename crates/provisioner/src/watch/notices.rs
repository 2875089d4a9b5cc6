//! The kernel's notices that something changed which the guard is made of. What it was is not read: the guard is
//! compared as a whole.

use std::io;

use netlink_sys::protocols::{NETLINK_NETFILTER, NETLINK_ROUTE};
use netlink_sys::{AsyncSocket, AsyncSocketExt, SocketAddr, TokioSocket};

/// Groups of rtnetlink(7), by linux/rtnetlink.h: links, IPv4 addresses, IPv4 routes, and the settings that it tells of
/// (RTNLGRP_IPV4_NETCONF, RTNLGRP_IPV6_NETCONF: forwarding, rp_filter).
const ROUTE_GROUPS: [u32; 5] = [1, 5, 7, 24, 25];
/// NFNLGRP_NFTABLES in linux/netfilter/nfnetlink.h: what `nft monitor` listens to.
const TABLES: [u32; 1] = [7];

/// Two sockets that listen.
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

    /// Waits for the next one. An error tells as much: notices were lost, so something happened.
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
