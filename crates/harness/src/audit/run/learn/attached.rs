//! The facts about an attached cluster: what its API server says, and what the probers on its nodes see.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use futures::future::join_all;
use ipnet::{IpNet, Ipv4Net};
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::ServiceCIDR;
use kube::api::ListParams;
use kube::{Api, Config};
use probe::{Ask, Mac, Sight};
use provisioner::slowdown::Slowdown;
use tokio::time::timeout;

use crate::attached::{AttachedCluster, AttachedNode};
use crate::audit::{
    ApiServer, AuthorityRole, ClientCertificate, CredentialSet, DnsSubject, Kernel, KnownCertificate,
    NodeSubject, Parts, Secret, Subject, Trust,
};

use super::seen::seen;
use super::{InstanceProbes, TIMEOUT, credentials};

/// The facts about an attached cluster.
pub(super) async fn subject(cluster: &AttachedCluster, deployed: &InstanceProbes) -> Subject {
    let nodes = cluster.nodes().iter().zip(deployed.node_witnesses());
    let nodes = nodes.map(async |(listed, witness)| node(listed, witness, deployed).await);
    let (nodes, api, server, service_cidr) =
        futures::join!(join_all(nodes), api(cluster), name_server(cluster), service_cidr(cluster));
    let administrator = client_certificate(cluster.config());
    let by_cluster = |shown| KnownCertificate { signer: Some(AuthorityRole::Cluster), shown };
    Subject {
        name: cluster.name().to_owned(),
        parts: Parts::by_kubeconfig(),
        kernel: Kernel::Unknown,
        uplink: None,
        management: None,
        link_witnesses: Vec::new(),
        slowdown: Slowdown::NONE,
        passes_every_protocol: false,
        pod_cidrs: cluster.nodes().iter().flat_map(|node| node.pod_cidrs.iter().copied()).collect(),
        service_cidr,
        nodes,
        pod: deployed.pod().clone(),
        dns: DnsSubject { server, only_here: deployed.only_here() },
        api,
        credentials: CredentialSet {
            administrator: administrator.clone(),
            certificates: Some(administrator.into_iter().map(by_cluster).collect()),
            service_account: deployed.account().cloned(),
            bootstrap: deployed.token().cloned(),
        },
        authorities: None,
        trust: Trust::default(),
        declared: cluster.declared().to_vec(),
        identity: None,
        store: None,
        search: None,
    }
}

async fn node(listed: &AttachedNode, witness: &str, deployed: &InstanceProbes) -> NodeSubject {
    let lines = seen(deployed, &listed.name, Ask::Look { at: Sight::Links }).await.unwrap_or_default();
    let links = Links::read(&lines);
    let own = links.with(listed.address);
    let link = own.map(|(link, _)| link.to_owned()).unwrap_or_default();
    NodeSubject {
        name: listed.name.clone(),
        role: listed.role,
        address: listed.address,
        // A node whose link is unknown is alone in its network: nothing else is asked as a part of it.
        net: own.map_or_else(|| Ipv4Net::from(listed.address), |(_, net)| net),
        link_local: links.link_local(&link),
        routed_v6: links.routed_v6(),
        mac: links.mac(&link),
        macs: links.macs.iter().map(|(_, mac)| *mac).collect(),
        link,
        neighbours: None,
        found: None,
        management: None,
        witness: witness.to_owned(),
        machine: None,
    }
}

/// The API server: as the kubeconfig reaches it, and the endpoints of its service in the cluster.
async fn api(cluster: &AttachedCluster) -> ApiServer {
    let config = cluster.config();
    let host = config.cluster_url.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let port = config.cluster_url.port_u16().unwrap_or(443);
    let found = timeout(TIMEOUT, tokio::net::lookup_host((host.as_str(), port))).await;
    ApiServer {
        access: found.ok().and_then(Result::ok).and_then(|mut all| all.next()),
        name: config.tls_server_name.clone().unwrap_or(host),
        endpoints: endpoints(cluster).await.unwrap_or_default(),
    }
}

async fn endpoints(cluster: &AttachedCluster) -> Option<Vec<SocketAddr>> {
    let slices: Api<EndpointSlice> = Api::namespaced(cluster.client(), "default");
    let of_api = ListParams::default().labels("kubernetes.io/service-name=kubernetes");
    let listed = timeout(TIMEOUT, slices.list(&of_api)).await.ok()?.ok()?;
    let all = listed.items.iter().flat_map(|slice| {
        let ports = slice.ports.iter().flatten().filter_map(|port| u16::try_from(port.port?).ok());
        let ports: Vec<u16> = ports.collect();
        let addresses = slice.endpoints.iter().flat_map(|endpoint| &endpoint.addresses);
        let addresses = addresses.filter_map(|address| address.parse::<IpAddr>().ok());
        addresses.flat_map(move |address| ports.clone().into_iter().map(move |port| (address, port).into()))
    });
    Some(all.collect())
}

/// The address of the service `kube-dns`, which every name server of Kubernetes has (Kubernetes, "DNS for Services and
/// Pods").
async fn name_server(cluster: &AttachedCluster) -> Option<Ipv4Addr> {
    let services: Api<Service> = Api::namespaced(cluster.client(), "kube-system");
    let found = timeout(TIMEOUT, services.get_opt("kube-dns")).await.ok()?.ok()??;
    found.spec?.cluster_ip?.parse().ok()
}

/// The network of its services; `None` before Kubernetes 1.33, which has no such object.
async fn service_cidr(cluster: &AttachedCluster) -> Option<Ipv4Net> {
    let all: Api<ServiceCIDR> = Api::all(cluster.client());
    let found = timeout(TIMEOUT, all.get_opt("kubernetes")).await.ok()?.ok()??;
    found.spec?.cidrs?.iter().find_map(|net| net.parse().ok())
}

/// The client certificate of the context's user; `None` for a user with a token or a plugin.
fn client_certificate(config: &Config) -> Option<ClientCertificate> {
    let user = &config.auth_info;
    let file = |path: &Option<String>| std::fs::read_to_string(path.as_ref()?).ok();
    let data = user.client_certificate_data.as_deref().and_then(credentials::decoded);
    let certificate = data.or_else(|| file(&user.client_certificate))?;
    let key = user.client_key_data.as_ref().map(secrecy::ExposeSecret::expose_secret);
    let key = key.and_then(credentials::decoded).or_else(|| file(&user.client_key))?;
    Some(ClientCertificate { certificate, key: Secret::new(key) })
}

/// The links of a node in the lines of [`Sight::Links`]: `eth0 02:00:c0:a8:3c:0a up`, `eth0 192.168.60.10/24`.
#[derive(Debug, Default)]
struct Links {
    macs: Vec<(String, Mac)>,
    addresses: Vec<(String, IpNet)>,
}

impl Links {
    fn read(lines: &[String]) -> Self {
        let mut links = Self::default();
        for line in lines {
            let Some((link, rest)) = line.split_once(' ') else { continue };
            let word = rest.split(' ').next().unwrap_or_default();
            if let Ok(mac) = word.parse() {
                links.macs.push((link.to_owned(), mac));
            } else if let Ok(net) = word.parse() {
                links.addresses.push((link.to_owned(), net));
            }
        }
        links
    }

    /// The link with this address, and the network of the address.
    fn with(&self, address: Ipv4Addr) -> Option<(&str, Ipv4Net)> {
        self.addresses.iter().find_map(|(link, net)| match net {
            IpNet::V4(net) if net.addr() == address => Some((link.as_str(), net.trunc())),
            _ => None,
        })
    }

    fn mac(&self, link: &str) -> Option<Mac> {
        self.macs.iter().find_map(|(on, mac)| (on == link).then_some(*mac))
    }

    fn link_local(&self, link: &str) -> Option<Ipv6Addr> {
        self.addresses.iter().find_map(|(on, net)| match net.addr() {
            IpAddr::V6(address) if on == link && address.is_unicast_link_local() => Some(address),
            _ => None,
        })
    }

    /// Its IPv6 addresses that a router forwards.
    fn routed_v6(&self) -> Vec<Ipv6Addr> {
        let all = self.addresses.iter().filter_map(|(_, net)| match net.addr() {
            IpAddr::V6(address) => Some(address),
            IpAddr::V4(_) => None,
        });
        all.filter(|address| !address.is_unicast_link_local() && !address.is_loopback()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_link_of_a_node_is_the_one_with_its_address() {
        let lines = [
            "cni0 0a:00:00:00:00:01 up",
            "cni0 10.244.0.1/24",
            "ens3 52:54:00:12:34:56 up",
            "ens3 192.0.2.7/26",
            "ens3 2001:db8::7/64",
            "ens3 fe80::7/64",
            "ens3 on virtio1",
            "lo - up",
            "lo 127.0.0.1/8",
            "lo ::1/128",
        ];
        let links = Links::read(&lines.map(str::to_owned));
        let net: Ipv4Net = "192.0.2.0/26".parse().unwrap();
        assert_eq!(links.with(Ipv4Addr::new(192, 0, 2, 7)), Some(("ens3", net)));
        assert_eq!(links.with(Ipv4Addr::new(192, 0, 2, 8)), None);
        assert_eq!(links.mac("ens3"), Some(Mac([0x52, 0x54, 0, 0x12, 0x34, 0x56])));
        assert_eq!(links.mac("lo"), None);
        assert_eq!(links.macs.len(), 2);
        assert_eq!(links.link_local("ens3"), Some("fe80::7".parse().unwrap()));
        assert_eq!(links.link_local("cni0"), None);
        assert_eq!(links.routed_v6(), ["2001:db8::7".parse::<Ipv6Addr>().unwrap()]);
    }
}
