//! The structure that was planned: what of the plans of all instances can be seen on a host. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use camino::Utf8PathBuf;
use ipnet::{IpNet, Ipv4Net};
use probe::structure::{Request, VERSION};
use provisioner::capacity::NodeLimits;
use provisioner::fabric::ExpectedGuard;
use provisioner::plan::{ClusterPlan, Role};
use provisioner::request::CniKind;

/// Everything that was planned on a host.
#[derive(Debug, Clone)]
pub(crate) struct Planned {
    /// All running instances.
    pub(crate) instances: Vec<PlannedInstance>,
    /// The guard that the host must have; `None` if it could not be found out.
    pub(crate) guard: Option<ExpectedGuard>,
    /// The pids of the audit's own processes; their descendants count as well.
    pub(crate) own: BTreeSet<u32>,
    /// The limits of each node that is a container.
    pub(crate) limits: NodeLimits,
    /// The folders of the node image and of the image store, which all nodes share, read-only, as lower layers.
    pub(crate) shared: Vec<Utf8PathBuf>,
}

/// What was planned of an instance.
#[derive(Debug, Clone)]
pub(crate) struct PlannedInstance {
    /// The name of its subject in the audit.
    pub(crate) name: String,
    /// Whether its nodes are VMs.
    pub(crate) is_virtual: bool,
    /// The name of the namespace with its bridge; VMs have their bridge on the host.
    pub(crate) switch: String,
    /// The host's link into its network. With VMs, this is the bridge itself.
    pub(crate) link: String,
    /// The host's link into its management network.
    pub(crate) management_link: String,
    /// Its network.
    pub(crate) subnet: Ipv4Net,
    /// The host's address in its network.
    pub(crate) gateway: Ipv4Addr,
    /// Its management network; `None` for containers.
    pub(crate) management: Option<Ipv4Net>,
    /// The addresses of its pods.
    pub(crate) pod_cidr: Ipv4Net,
    /// The addresses of its services.
    pub(crate) service_cidr: Ipv4Net,
    /// The address that one of its control planes has in addition to its own.
    pub(crate) virtual_address: Option<Ipv4Addr>,
    /// Its pod network.
    pub(crate) cni: CniKind,
    /// The folder of its files on the host.
    pub(crate) folder: Utf8PathBuf,
    /// Its nodes.
    pub(crate) nodes: Vec<PlannedNode>,
}

/// What was planned of a node.
#[derive(Debug, Clone)]
pub(crate) struct PlannedNode {
    /// Its name.
    pub(crate) name: String,
    /// Whether it is a control plane.
    pub(crate) is_control_plane: bool,
    /// Its address in the instance's network.
    pub(crate) address: Ipv4Addr,
    /// The addresses of its pods.
    pub(crate) pod_cidr: Ipv4Net,
    /// The name of its network namespace, of its container and of its VM.
    pub(crate) scope: String,
    /// The folder of its files on the host.
    pub(crate) folder: Utf8PathBuf,
    /// The id of its container, which is a part of the names of its cgroups. `None` for VMs, and if it is unknown: then
    /// no process can be shown to be the node's.
    pub(crate) container: Option<String>,
}

impl PlannedInstance {
    /// What the plan says of the subject with this name. In a fixture, the name of its instance has a suffix.
    /// `containers` are the ids of its nodes' containers by the nodes' names.
    pub(crate) fn of(subject: &str, plan: &ClusterPlan, containers: &BTreeMap<String, String>) -> Self {
        let nodes = plan.nodes.iter().map(|node| PlannedNode {
            name: node.name.clone(),
            is_control_plane: node.role == Role::ControlPlane,
            address: node.address,
            pod_cidr: node.pod_cidr,
            scope: plan.id.node_scope(&node.name),
            folder: plan.folder.join("nodes").join(&node.name),
            container: containers.get(&node.name).cloned(),
        });
        Self {
            name: subject.to_owned(),
            is_virtual: plan.engine.is_virtual(),
            switch: plan.id.scope(),
            link: plan.id.link(),
            management_link: plan.id.management_link(),
            subnet: plan.subnet,
            gateway: plan.gateway,
            management: plan.management,
            pod_cidr: plan.pod_cidr,
            service_cidr: plan.service_cidr,
            virtual_address: plan.virtual_address(),
            cni: plan.cni,
            folder: plan.folder.clone(),
            nodes: nodes.collect(),
        }
    }

    /// All its networks.
    pub(super) fn networks(&self) -> impl Iterator<Item = Ipv4Net> {
        [self.subnet, self.pod_cidr, self.service_cidr].into_iter().chain(self.management)
    }

    /// Whether an address is in one of its networks.
    pub(super) fn has(&self, address: IpAddr) -> bool {
        matches!(address, IpAddr::V4(address) if self.networks().any(|net| net.contains(&address)))
    }

    /// Whether all addresses of a range are in one of its networks.
    pub(super) fn has_all(&self, range: IpNet) -> bool {
        matches!(range, IpNet::V4(range) if self.networks().any(|net| net.contains(&range)))
    }
}

impl Planned {
    /// What a walk has to be told, so that its result can be compared with this plan.
    pub(crate) fn request(&self) -> Request {
        let nodes = || self.instances.iter().flat_map(|instance| &instance.nodes);
        let networks = self.instances.iter().flat_map(PlannedInstance::networks);
        Request {
            version: VERSION,
            roots: nodes().map(|node| (node.scope.clone(), node.folder.to_string())).collect(),
            cgroups: nodes().filter_map(|node| node.container.clone()).collect(),
            networks: networks.map(|net| net.trunc().into()).collect(),
        }
    }
}
