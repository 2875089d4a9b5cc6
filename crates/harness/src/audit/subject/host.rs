//! What the audit knows of the workstation, and of files.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use ipnet::Ipv4Net;

use super::Link;

/// The workstation, as the audit sees it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Host {
    /// All its addresses but loopback, with the link that has each.
    pub addresses: Vec<(String, IpAddr)>,
    /// The identity of the witness on it, which listens on `0.0.0.0` and sees what its sockets get: no packets, since
    /// a capture also sees what the guard drops.
    pub witness: String,
    /// TCP sockets of other programs that listen on all addresses.
    pub listeners: Vec<u16>,
    /// TCP sockets of other programs that listen on one address.
    pub bound: Vec<SocketAddr>,
    /// Ports that the host forwards: where it listens, and where it leads.
    pub forwards: Option<Vec<(SocketAddr, SocketAddr)>>,
    /// Kernel settings by key, `net.ipv4.conf.all.route_localnet`.
    pub settings: BTreeMap<String, String>,
    /// The host's networks and routes for something else than instances, with what has them: `eth0`.
    pub networks: Option<Vec<(String, Ipv4Net)>>,
    /// What the registry and the engine disagree about, in words.
    pub disagreements: Option<Vec<String>>,
}

/// What is known only after the run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct After {
    /// What the run itself left behind on the host, in words.
    pub left: Option<Vec<String>>,
    /// What became of the others when an instance was destroyed, if one was.
    pub destroyed: Option<Destroyed>,
}

/// What became of the others when an instance was destroyed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destroyed {
    /// The instance that was destroyed.
    pub instance: String,
    /// Old data or state that its successor of the same name and address found, in words.
    pub inherited: Option<Vec<String>>,
    /// For each other instance, its links before (recorded) and after (found): UIDs and start times.
    pub others: BTreeMap<String, Vec<Link>>,
}

/// A search for secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search {
    /// Whether it found a secret that lies where it must: the control of the search.
    pub control_found: bool,
    /// Where secrets of which other instance were found: instance and place.
    pub found: Vec<(String, String)>,
}
