//! The facts about the host: addresses, listeners, forwards, networks, settings. A fact that cannot be read stays
//! `None`, or is left out.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use ipnet::Ipv4Net;
use provisioner::Provisioner;
use provisioner::exec::{Command, Local, Runner};
use provisioner::registry::Instance;

use crate::audit::{HOST, HostSubject, TCP_PORT, UDP_PORT};

use super::forwards;

/// The facts about the host.
pub(in crate::audit::run) async fn host(provisioner: &Provisioner) -> HostSubject {
    let addresses = addresses().await;
    // The table of a protocol is missing where the kernel does not have the protocol.
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| fs::read_to_string(path).unwrap_or_default());
    let mut keys: BTreeSet<&str> = addresses.iter().map(|(link, _)| link.as_str()).collect();
    keys.insert("all");
    let setting = |link: &&str| {
        let value = fs::read_to_string(format!("/proc/sys/net/ipv4/conf/{link}/route_localnet")).ok()?;
        Some((format!("net.ipv4.conf.{link}.route_localnet"), value.trim().to_owned()))
    };
    HostSubject {
        settings: keys.iter().filter_map(setting).collect::<BTreeMap<_, _>>(),
        witness: HOST.to_owned(),
        listeners: listeners(&tables.concat()),
        bound: bound(&tables[0]),
        forwards: forwards::all(provisioner).await,
        networks: networks(provisioner).await,
        disagreements: disagreements(provisioner).await,
        addresses,
    }
}

/// All addresses of the host except loopback, each with its link.
async fn addresses() -> Vec<(String, IpAddr)> {
    let show = Command::within(Duration::from_secs(10), "ip").args(["-oneline", "address", "show"]);
    let text = Local.run(&show).await.map(|output| output.text()).unwrap_or_default();
    let address = |line: &str| {
        let mut words = line.split_whitespace().skip(1);
        let link = words.next()?.to_owned();
        let address: IpAddr = words.nth(1)?.split('/').next()?.parse().ok()?;
        (!address.is_loopback()).then_some((link, address))
    };
    text.lines().filter_map(address).collect()
}

/// The ports of all sockets that listen on every address, from `/proc/net/tcp` and `/proc/net/tcp6` (proc_net(5)):
/// state 0A is LISTEN. A socket on `[::]` usually listens on `0.0.0.0` as well (ipv6(7)). Without the audit's own
/// witness. Pure.
fn listeners(tables: &str) -> Vec<u16> {
    let port = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (address, port) = words.get(1)?.split_once(':')?;
        let everywhere = address.bytes().all(|digit| digit == b'0');
        (everywhere && words.get(3) == Some(&"0A")).then(|| u16::from_str_radix(port, 16).ok())?
    };
    let ports: BTreeSet<u16> = tables.lines().filter_map(port).collect();
    ports.into_iter().filter(|port| ![TCP_PORT, UDP_PORT].contains(port)).collect()
}

/// TCP sockets that listen on one IPv4 address, from `/proc/net/tcp`, which has addresses in the byte order of the
/// host. Pure.
fn bound(table: &str) -> Vec<SocketAddr> {
    let at = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (address, port) = words.get(1)?.split_once(':')?;
        let address = Ipv4Addr::from(u32::from_str_radix(address, 16).ok()?.to_ne_bytes());
        let listens = words.get(3) == Some(&"0A") && !address.is_unspecified();
        listens.then(|| Some((address, u16::from_str_radix(port, 16).ok()?).into()))?
    };
    table.lines().filter_map(at).collect()
}

async fn networks(provisioner: &Provisioner) -> Option<Vec<(String, Ipv4Net)>> {
    let found = provisioner.host_networks().await.ok()?;
    Some(found.into_iter().map(|network| (network.interface, network.net)).collect())
}

/// The differences between the registry and the engines, in words (S3). `None` when one of them cannot be read.
async fn disagreements(provisioner: &Provisioner) -> Option<Vec<String>> {
    let sightings = provisioner.engines().sightings().await.ok()?;
    let instances: Vec<Instance> = provisioner.registry().instances().ok()?;
    let known = |name: &str| instances.iter().any(|instance| instance.name == name);
    let strays = sightings.iter().filter(|sighting| !known(&sighting.instance));
    let mut found: Vec<String> = strays.map(|stray| format!("{stray} belongs to no instance")).collect();
    let seen = |name: &str| sightings.iter().any(|sighting| sighting.instance == name);
    let ghosts = instances.iter().filter(|instance| !seen(&instance.name));
    found.extend(ghosts.map(|ghost| format!("instance '{}' has nothing on the host", ghost.name)));
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_on_all_addresses_are_found_in_the_kernels_tables() {
        let table = "  sl  local_address rem_address   st tx_queue\n   0: 00000000:0016 00000000:0000 0A 0\n   \
                     1: 0100007F:0035 00000000:0000 0A 0\n   2: 00000000:1B59 00000000:0000 0A 0\n   \
                     3: 00000000:0050 0100007F:1F90 01 0\n";
        let zero = "0".repeat(32);
        let six = format!(
            "  sl  local_address rem_address   st tx_queue\n   0: {zero}:0016 {zero}:0000 0A 0\n   \
             1: {zero}:1F90 {zero}:0000 0A 0\n   2: 00000000000000000000000001000000:0277 {zero}:0000 0A 0\n   \
             3: {zero}:1B5A {zero}:0000 0A 0\n"
        );
        assert_eq!(listeners(&format!("{table}{six}")), [22, 8080]);
        let table = format!(
            "{table}   4: 0100E80A:0035 00000000:0000 0A 0\n   5: 0100E80A:0050 0200E80A:0007 01 0\n"
        );
        assert_eq!(bound(&table), ["127.0.0.1:53", "10.232.0.1:53"].map(|at| at.parse().unwrap()));
    }
}
