//! The content of each network namespace, read by threads that enter one after the other.

mod ip;
mod links;
mod rulesets;
mod sockets;
mod traffic;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread::JoinHandle;

use probe::structure::{Link, Network};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::walk::netlink::Netlink;

pub(super) use links::Handles;
pub(super) use sockets::vsock;

const ROUTE: isize = 0;

/// Number of threads: each enters one namespace after the other.
const THREADS: usize = 2;

/// Starts to read all these namespaces, on threads that end in their last one.
pub(super) fn start(handles: &Arc<Handles>, has_classifiers: bool) -> io::Result<Vec<JoinHandle<Networks>>> {
    let start = |part: usize| {
        let handles = Arc::clone(handles);
        let work = move || {
            let mut read = Networks::default();
            for (inode, file) in handles.iter().skip(part).step_by(THREADS) {
                match move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)) {
                    Ok(()) => {
                        read.all.push(one(*inode, &handles, has_classifiers, &mut read.unread));
                        read.all.extend(hidden(*inode, &handles, &mut read.unread));
                    }
                    Err(error) => read.unread.push(format!("enter network namespace {inode}: {error}")),
                }
            }
            read
        };
        std::thread::Builder::new().name("networks".to_owned()).spawn(work)
    };
    (0..THREADS).map(start).collect()
}

/// The content of some namespaces, and what of it could not be read.
#[derive(Default)]
pub(super) struct Networks {
    pub(super) all: Vec<Network>,
    pub(super) unread: Vec<String>,
}

/// The content of the thread's namespace.
fn one(inode: u64, handles: &Handles, has_classifiers: bool, unread: &mut Vec<String>) -> Network {
    let mut failed = |what: &str, error: &io::Error| {
        unread.push(format!("read {what} of network namespace {inode}: {error}"));
    };
    let mut network = Network { inode, ..Network::default() };
    match Netlink::open(ROUTE) {
        Ok(route) => {
            network.links = or(links::all(&route, inode, handles), "links", &mut failed);
            network.addresses = or(ip::addresses(&route), "addresses", &mut failed);
            network.routes = or(ip::routes(&route), "routes", &mut failed);
            network.rules = or(ip::rules(&route), "rules", &mut failed);
            network.neighbours = or(ip::neighbours(&route), "neighbours", &mut failed);
            network.qdiscs = or(traffic::qdiscs(&route), "queueing disciplines", &mut failed);
            let filters = traffic::filters(&route, &network.qdiscs, &network.links);
            network.filters = or(filters, "filters of traffic control", &mut failed);
        }
        Err(error) => failed("links, addresses and routes", &error),
    }
    if has_classifiers {
        for link in &mut network.links {
            match links::tcx(&link.name) {
                Ok(programs) => link.tcx = programs,
                Err(error) => failed(&format!("tcx programs of {}", link.name), &io::Error::other(error)),
            }
        }
    }
    network.settings = settings(&network.links, &mut failed);
    network.sockets = sockets::all(&mut failed);
    network.nft = or(rulesets::nft(), "nftables", &mut failed);
    network.iptables = rulesets::iptables(&network.nft, &mut failed);
    network.ipvs = or(rulesets::ipvs(), "IPVS", &mut failed);
    network.xfrm = or(rulesets::xfrm(), "IPsec", &mut failed);
    network
}

/// Namespaces that the thread's namespace alone leads to, with their links.
fn hidden(inode: u64, handles: &Handles, unread: &mut Vec<String>) -> Vec<Network> {
    let found = Netlink::open(ROUTE).and_then(|route| links::hidden(&route, inode, handles));
    let found = found.unwrap_or_else(|error| {
        unread.push(format!("read namespaces behind network namespace {inode}: {error}"));
        Vec::new()
    });
    let network = |(inode, links)| Network { inode, links, is_hidden: true, ..Network::default() };
    found.into_iter().map(network).collect()
}

fn or<T: Default>(read: io::Result<T>, what: &str, failed: &mut dyn FnMut(&str, &io::Error)) -> T {
    read.unwrap_or_else(|error| {
        failed(what, &error);
        T::default()
    })
}

/// The settings of all links that open or close ways. A kernel without IPv6 has none of IPv6.
fn settings(links: &[Link], failed: &mut dyn FnMut(&str, &io::Error)) -> BTreeMap<String, String> {
    const FOUR: [&str; 8] = [
        "accept_local",
        "arp_ignore",
        "forwarding",
        "mc_forwarding",
        "proxy_arp",
        "proxy_arp_pvlan",
        "route_localnet",
        "rp_filter",
    ];
    const SIX: [&str; 5] = ["accept_ra", "disable_ipv6", "forwarding", "mc_forwarding", "proxy_ndp"];
    let names = links.iter().map(|link| link.name.as_str()).chain(["all", "default"]);
    let mut all = BTreeMap::new();
    for name in names {
        let four = FOUR.iter().map(|key| format!("ipv4/conf/{name}/{key}"));
        for key in four.chain(SIX.iter().map(|key| format!("ipv6/conf/{name}/{key}"))) {
            match fs::read_to_string(format!("/proc/sys/net/{key}")) {
                Ok(value) => drop(all.insert(key, value.trim().to_owned())),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => failed(&key, &error),
            }
        }
    }
    all
}
