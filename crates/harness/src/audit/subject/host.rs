//! The known facts of the host, and of searches and destructions.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use ipnet::Ipv4Net;

use crate::audit::structure::Structure;

use super::Property;

/// The facts of the host.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HostSubject {
    /// All its addresses except loopback, each with its link.
    pub addresses: Vec<(String, IpAddr)>,
    /// The identity of its witness, which listens on `0.0.0.0`. The witness sees only what its sockets receive, because
    /// a packet capture would also see packets that the guard drops.
    pub witness: String,
    /// Ports of other programs that listen on all addresses, TCP.
    pub listeners: Vec<u16>,
    /// Sockets of other programs that listen on one address, TCP.
    pub bound: Vec<SocketAddr>,
    /// Ports that the host forwards: the listening address, and the destination.
    pub forwards: Option<Vec<(SocketAddr, SocketAddr)>>,
    /// Kernel settings by key: `net.ipv4.conf.all.route_localnet`.
    pub settings: BTreeMap<String, String>,
    /// The host's networks and routes that belong to no instance, each with its link: `eth0`.
    pub networks: Option<Vec<(String, Ipv4Net)>>,
    /// The differences between the registry and the objects of the engines, a sentence each.
    pub disagreements: Option<Vec<String>>,
}

/// Facts that are known only after the run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct After {
    /// Objects that the run left on the host, a line each: `+ link: hl-x`.
    pub left: Option<Vec<String>>,
    /// The differences of the host from what was planned, or why they are unknown. `None` where no class asks for them.
    pub structure: Option<Result<Structure, String>>,
    /// The effects of a destruction; `None` where no instance was destroyed.
    pub destroyed: Option<Destroyed>,
}

/// The effects of the destruction of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destroyed {
    /// The instance that was destroyed.
    pub instance: String,
    /// Old data that its successor with the same name and address found, a line each.
    pub inherited: Option<Vec<String>>,
    /// For each other instance, its properties before (recorded) and after (found): UIDs and start times.
    pub others: BTreeMap<String, Vec<Property>>,
}

/// A search for secrets.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Search {
    /// Whether it found a secret in its known place: the control of the search.
    pub control_found: bool,
    /// Secrets of other instances that were found: the instance, and the place.
    pub found: Vec<(String, String)>,
    /// Other data of other instances, such as a certificate that an authority of theirs has signed: the instance, and the
    /// place.
    pub traces: Vec<(String, String)>,
}

impl Search {
    /// Adds what was found of an instance at a place.
    pub fn add(&mut self, instance: &str, is_secret: bool, place: &str) {
        let all = if is_secret { &mut self.found } else { &mut self.traces };
        all.push((instance.to_owned(), place.to_owned()));
    }
}
