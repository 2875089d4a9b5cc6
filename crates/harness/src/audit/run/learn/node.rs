//! The facts about one node: its addresses, and the ids and keys that must be unique. One command reads all of them,
//! because each command on a VM costs an SSH connection.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::Ipv4Net;
use k8s_openapi::api::core::v1::Node;
use probe::Mac;
use provisioner::plan::{ClusterPlan, Role};

use crate::audit::{NodeIdentity, NodeSubject, NodeTraces, ipv6};
use crate::cluster::TestNode;

use super::quick;

/// Prints the lines of files, each after a word for its kind, the processes of SSH servers, the network adapters, and the
/// addresses. A missing file prints nothing; a file that cannot be read is an error.
const FACTS: &str = r#"export LC_ALL=C
say() { [ ! -e "$2" ] || sed "s|^|$1 |" "$2" || exit; }
say machine-id /etc/machine-id
say product /sys/class/dmi/id/product_uuid
for key in /etc/ssh/ssh_host_*_key.pub; do say host-key "$key"; done
for keys in /root/.ssh/authorized_keys /home/*/.ssh/authorized_keys; do say lets-in "$keys"; done
for process in /proc/[0-9]*/comm; do
    read -r name 2>/dev/null < "$process" || continue
    case $name in sshd* | dropbear*) echo "ssh-server $name" ;; esac
done
for link in /sys/class/net/*; do
    [ ! -e "$link/device" ] || echo "adapter ${link##*/}"
    [ ! -e "$link/address" ] || sed "s|^|mac ${link##*/} |" "$link/address" || exit
done
ip -oneline address show"#;

/// The facts about a node. `listed` is its Kubernetes object.
pub(super) async fn subject(
    plan: &ClusterPlan,
    role: Role,
    node: &TestNode,
    listed: Option<&Node>,
) -> NodeSubject {
    let said = node.run(&quick("sh").args(["-c", FACTS])).await;
    let facts = said.map(|output| Facts::read(&output.text())).ok();
    let own = facts.as_ref();
    let node_uid = listed.and_then(|listed| listed.metadata.uid.clone());
    NodeSubject {
        name: node.real_name().to_owned(),
        role,
        address: node.ip(),
        link: plan.platform.link.to_owned(),
        net: plan.subnet,
        link_local: own.and_then(|facts| facts.link_local(plan.platform.link)),
        routed_v6: own.map(|facts| facts.routed_v6(node.ip(), plan.subnet)).unwrap_or_default(),
        mac: own.and_then(|facts| facts.mac(plan.platform.link)),
        macs: own.map(Facts::all_macs).unwrap_or_default(),
        neighbours: None, // see `neighbours`
        found: own.map(Facts::traces),
        management: own.and_then(|facts| facts.managed(plan)),
        witness: node.real_name().to_owned(),
        machine: facts.zip(node_uid).and_then(|(facts, uid)| facts.identity(uid, plan.engine.is_virtual())),
    }
}

/// The output of [`FACTS`].
#[derive(Debug, Default, PartialEq, Eq)]
struct Facts {
    machine_id: Option<String>,
    product: Option<String>,
    host_keys: Vec<String>,
    lets_in: Vec<String>,
    ssh_servers: Vec<String>,
    adapters: Vec<String>,
    macs: Vec<(String, Mac)>,
    addresses: Vec<(String, IpAddr)>,
}

impl Facts {
    fn read(text: &str) -> Self {
        let mut facts = Self::default();
        for line in text.lines() {
            let Some((what, rest)) = line.split_once(' ') else { continue };
            match what {
                "machine-id" => facts.machine_id = Some(rest.trim().to_owned()),
                "product" => facts.product = Some(rest.trim().to_lowercase()),
                "host-key" => facts.host_keys.extend(key(rest)),
                "lets-in" => facts.lets_in.extend(key(rest)),
                "ssh-server" => facts.ssh_servers.push(rest.to_owned()),
                "adapter" => facts.adapters.push(rest.to_owned()),
                "mac" => facts.macs.extend(mac(rest)),
                _ => facts.addresses.extend(address(rest)),
            }
        }
        facts
    }

    fn link_local(&self, link: &str) -> Option<Ipv6Addr> {
        self.addresses.iter().find_map(|(on, address)| match address {
            IpAddr::V6(address) if on == link && address.is_unicast_link_local() => Some(*address),
            _ => None,
        })
    }

    fn mac(&self, link: &str) -> Option<Mac> {
        self.macs.iter().find_map(|(on, mac)| (on == link).then_some(*mac))
    }

    /// The hardware addresses of all links that have one.
    fn all_macs(&self) -> Vec<Mac> {
        self.macs.iter().map(|(_, mac)| *mac).filter(|mac| *mac != Mac([0; 6])).collect()
    }

    /// Its IPv6 addresses that a router forwards, and the one that the audit adds beside this IPv4 address.
    fn routed_v6(&self, address: Ipv4Addr, net: Ipv4Net) -> Vec<Ipv6Addr> {
        let routed = self.addresses.iter().filter_map(|(_, address)| match address {
            IpAddr::V6(address) if !address.is_unicast_link_local() && !address.is_loopback() => {
                Some(*address)
            }
            _ => None,
        });
        routed.chain([ipv6::beside(address, net)]).collect()
    }

    /// The traces of an SSH server, and the network adapters.
    fn traces(&self) -> NodeTraces {
        let all =
            [("process", &self.ssh_servers), ("host key", &self.host_keys), ("accepted key", &self.lets_in)];
        let ssh =
            all.into_iter().flat_map(|(kind, found)| found.iter().map(move |it| format!("{kind} {it}")));
        NodeTraces { ssh: ssh.collect(), adapters: self.adapters.clone() }
    }

    /// The node's address in the hypervisor's network. `None` for containers.
    fn managed(&self, plan: &ClusterPlan) -> Option<Ipv4Addr> {
        let (link, net) = (plan.platform.management_link?, plan.management?);
        self.addresses.iter().find_map(|(on, address)| match address {
            IpAddr::V4(address) if on == link && net.contains(address) => Some(*address),
            _ => None,
        })
    }

    /// The ids and keys that must be unique. Containers have no UUID of their own: they show the host's.
    fn identity(self, node_uid: String, is_virtual: bool) -> Option<NodeIdentity> {
        let Self { machine_id, product, host_keys, lets_in, .. } = self;
        let product = product.filter(|_| is_virtual);
        Some(NodeIdentity { machine_id: machine_id?, node_uid, host_keys, product, lets_in })
    }
}

/// The key of a line of an SSH file, `ssh-ed25519 AAAA…`, without options and comment (sshd(8)). `None` where the line
/// has no key. Pure.
fn key(line: &str) -> Option<String> {
    let mut words = line
        .split_whitespace()
        .skip_while(|word| !["ssh-", "ecdsa-", "sk-"].iter().any(|kind| word.starts_with(kind)));
    Some(format!("{} {}", words.next()?, words.next()?))
}

/// The link and the hardware address of a line such as `eth0 02:00:c0:a8:3c:0a`. Pure.
fn mac(line: &str) -> Option<(String, Mac)> {
    let (link, mac) = line.split_once(' ')?;
    Some((link.to_owned(), mac.trim().parse().ok()?))
}

/// Property and address of a line such as `eth0    inet 192.168.60.10/24 brd …`, which ip-address(8) prints after a number.
/// Pure.
fn address(line: &str) -> Option<(String, IpAddr)> {
    let mut words = line.split_whitespace();
    let link = words.next()?.to_owned();
    let address = words.nth(1)?.split('/').next()?.parse().ok()?;
    Some((link, address))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "machine-id 0a1b\n\
        product 8A5C0000-0000-4000-8000-0000000000AA\n\
        host-key ssh-ed25519 AAAAhost root@acme-cp-1\n\
        lets-in # a comment\n\
        lets-in no-pty,command=\"true\" ssh-rsa AAAAuser ada@desk\n\
        lets-in \n\
        ssh-server sshd\n\
        adapter eth0\n\
        mac lo 00:00:00:00:00:00\n\
        mac eth1 02:00:c0:a8:3c:0a\n\
        1: lo    inet 127.0.0.1/8 scope host lo\\       valid_lft forever\n\
        2: eth0    inet 10.232.0.12/28 brd 10.232.0.15 scope global eth0\n\
        2: eth0    inet6 fe80::1/64 scope link \n\
        2: eth0    inet6 2001:db8::7/64 scope global \n\
        3: eth1    inet 192.168.60.10/24 brd 192.168.60.255 scope global eth1\n\
        3: eth1    inet6 fe80::2/64 scope link \n";

    #[test]
    fn all_facts_of_a_node_are_read_from_one_answer() {
        let facts = Facts::read(SAID);
        assert_eq!(facts.link_local("eth1"), Some("fe80::2".parse().unwrap()));
        assert_eq!(facts.link_local("eth2"), None);
        assert_eq!(facts.mac("eth1"), Some(Mac([2, 0, 0xc0, 0xa8, 0x3c, 0x0a])));
        assert_eq!(facts.mac("eth0"), None);
        assert_eq!(facts.all_macs(), [Mac([2, 0, 0xc0, 0xa8, 0x3c, 0x0a])], "without loopback");
        assert_eq!(facts.addresses.len(), 6);
        let routed = facts.routed_v6(Ipv4Addr::new(192, 168, 60, 10), "192.168.60.0/24".parse().unwrap());
        let routed: Vec<String> = routed.iter().map(ToString::to_string).collect();
        assert_eq!(routed, ["2001:db8::7", "fd6c:6162:c0a8:3c00::c0a8:3c0a"]);
        let traces = facts.traces();
        let ssh = ["process sshd", "host key ssh-ed25519 AAAAhost", "accepted key ssh-rsa AAAAuser"];
        assert_eq!((traces.ssh, traces.adapters), (ssh.map(str::to_owned).to_vec(), vec!["eth0".to_owned()]));
        let identity = Facts::read(SAID).identity("uid".to_owned(), true).unwrap();
        let expected = NodeIdentity {
            machine_id: "0a1b".to_owned(),
            node_uid: "uid".to_owned(),
            host_keys: vec!["ssh-ed25519 AAAAhost".to_owned()],
            product: Some("8a5c0000-0000-4000-8000-0000000000aa".to_owned()),
            lets_in: vec!["ssh-rsa AAAAuser".to_owned()],
        };
        assert_eq!(identity, expected);
        assert_eq!(facts.identity("uid".to_owned(), false).unwrap().product, None, "the UUID is the host's");
        assert_eq!(Facts::read("").identity("uid".to_owned(), true), None);
    }
}
