//! The request for a cluster, as typed and checked.
//!
//! [`ClusterSpec`] holds the request of a user or a test, valid or not. [`ClusterSpec::check`] parses it and reports
//! every problem at once; later code relies on the [`CheckedSpec`]. This module knows nothing of the host. Next in the
//! flow: `plan` chooses names, networks and addresses.

mod kinds;
mod label;
pub mod matrix;
mod versions;

use ipnet::Ipv4Net;

use crate::error::Hint;

pub use kinds::{CiliumOptions, CniKind, EngineKind, Handling, NodeSize, Provider, Topology};
pub use label::Label;
pub use versions::{KUBERNETES_VERSION, KUBERNETES_VERSIONS};

/// The longest instance name, in characters. Node names (`<name>-cp-1`) must stay below the 63 characters of a DNS
/// label (RFC 1035, section 2.3.4), and fixtures append a suffix that makes names unique.
pub const LONGEST_NAME: usize = 40;

/// The most workers of a cluster: they have the addresses `.21` to `.199`.
pub const MOST_WORKERS: u8 = 179;

/// A request for a cluster, not checked yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterSpec {
    /// The instance's name, a DNS label.
    pub name: String,
    /// One node, one control plane with workers, or three control planes with workers.
    pub topology: Topology,
    /// The number of workers; `None` for [`Topology::usual_workers`].
    pub workers: Option<u8>,
    /// The host network as a CIDR; `None` for the next free one.
    pub subnet: Option<String>,
    /// The first label of the DNS suffix; `None` for the name.
    pub tld_prefix: Option<String>,
    /// The Kubernetes version, `v1.36.3`; `None` for [`KUBERNETES_VERSION`].
    pub kubernetes: Option<String>,
    /// The pod network.
    pub cni: CniKind,
    /// Options of Cilium; an error with another pod network.
    pub cilium: CiliumOptions,
    /// The engine, which makes the nodes.
    pub engine: EngineKind,
    /// The size of each VM; `None` for the default size. An error with containers.
    pub size: Option<NodeSize>,
    /// How an operator's instance and a test's instance differ.
    pub handling: Handling,
}

impl ClusterSpec {
    /// A `k8s-multi` cluster with three workers and the pod network `routed`, in containers.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            topology: Topology::Multi,
            workers: None,
            subnet: None,
            tld_prefix: None,
            kubernetes: None,
            cni: CniKind::Routed,
            cilium: CiliumOptions::default(),
            engine: EngineKind::Container,
            size: None,
            handling: Handling::OPERATOR,
        }
    }

    /// Chooses the topology.
    #[must_use]
    pub fn topology(self, topology: Topology) -> Self {
        Self { topology, ..self }
    }

    /// Chooses the number of workers.
    #[must_use]
    pub fn workers(self, workers: u8) -> Self {
        Self { workers: Some(workers), ..self }
    }

    /// Asks for this host network, for instance `192.168.60.0/24`.
    #[must_use]
    pub fn subnet(self, subnet: impl Into<String>) -> Self {
        Self { subnet: Some(subnet.into()), ..self }
    }

    /// Chooses the first label of the DNS suffix.
    #[must_use]
    pub fn tld_prefix(self, prefix: impl Into<String>) -> Self {
        Self { tld_prefix: Some(prefix.into()), ..self }
    }

    /// Chooses the pod network.
    #[must_use]
    pub fn cni(self, cni: CniKind) -> Self {
        Self { cni, ..self }
    }

    /// Chooses Cilium as the pod network, with these options.
    #[must_use]
    pub fn cilium(self, cilium: CiliumOptions) -> Self {
        Self { cni: CniKind::Cilium, cilium, ..self }
    }

    /// Chooses the Kubernetes version, for instance `v1.36.3`.
    #[must_use]
    pub fn kubernetes(self, version: impl Into<String>) -> Self {
        Self { kubernetes: Some(version.into()), ..self }
    }

    /// Chooses the engine.
    #[must_use]
    pub fn engine(self, engine: EngineKind) -> Self {
        Self { engine, ..self }
    }

    /// Chooses the size of each VM.
    #[must_use]
    pub fn size(self, size: NodeSize) -> Self {
        Self { size: Some(size), ..self }
    }

    /// Makes it a test's instance ([`Handling::TEST`]): etcd does not wait for the disk, and the host's files do not
    /// mention it.
    #[must_use]
    pub fn throw_away(self) -> Self {
        Self { handling: Handling::TEST, ..self }
    }

    /// Parses everything.
    ///
    /// # Errors
    /// [`SpecError`] with every problem, not just the first.
    pub fn check(&self) -> Result<CheckedSpec, SpecError> {
        let mut problems = Vec::new();
        let mut keep = |problem: Option<SpecProblem>| problems.extend(problem);
        let name = Label::parse(&self.name);
        keep(name.as_ref().err().map(|why| SpecProblem::new("name", &self.name, why)));
        if self.name.len() > LONGEST_NAME {
            let why = format!("has {} characters; at most {LONGEST_NAME} are allowed", self.name.len());
            keep(Some(SpecProblem::new("name", &self.name, &why)));
        }
        let prefix = self.tld_prefix.as_deref().unwrap_or(&self.name);
        let tld_prefix = Label::parse(prefix);
        if self.tld_prefix.is_some() {
            keep(tld_prefix.as_ref().err().map(|why| SpecProblem::new("--tld", prefix, why)));
        }
        let subnet = self.subnet.as_deref().map(parse_subnet).transpose();
        if let (Err(why), Some(text)) = (&subnet, &self.subnet) {
            keep(Some(SpecProblem::new("--subnet", text, why)));
        }
        let workers = self.workers.unwrap_or(self.topology.usual_workers());
        if self.topology == Topology::Single && workers > 0 {
            let why = "needs `--topology k8s-multi` or `k8s-ha`: k8s-single has no workers";
            keep(Some(SpecProblem::new("--workers", &workers.to_string(), why)));
        }
        if workers > MOST_WORKERS {
            let why = format!("is too large; at most {MOST_WORKERS} are allowed");
            keep(Some(SpecProblem::new("--workers", &workers.to_string(), &why)));
        }
        let version = self.kubernetes.as_deref().unwrap_or(KUBERNETES_VERSION);
        if !KUBERNETES_VERSIONS.contains(&version) {
            let why = format!("is not supported; supported: {}", KUBERNETES_VERSIONS.join(", "));
            keep(Some(SpecProblem::new("--kubernetes", version, &why)));
        } else if let Some(why) = matrix::refused(version, self.cni, self.topology) {
            let asked = format!("{version} with {} on {}", self.cni, self.topology);
            keep(Some(SpecProblem::new("--kubernetes", &asked, &why)));
        }
        if self.cni != CniKind::Cilium {
            let why = format!("needs `--cni cilium`: {} does not have it", self.cni);
            let CiliumOptions { kube_proxy_replacement, hubble } = self.cilium;
            let asked = [("--kube-proxy-replacement", kube_proxy_replacement), ("--hubble", hubble)];
            let asked = asked.into_iter().filter(|(_, asked)| *asked);
            problems.extend(asked.map(|(field, _)| SpecProblem::new(field, "true", &why)));
        }
        problems.extend(self.size.into_iter().flat_map(|size| size_problems(size, self.engine)));
        match (name, tld_prefix, subnet) {
            (Ok(name), Ok(tld_prefix), Ok(subnet)) if problems.is_empty() => Ok(CheckedSpec {
                name,
                topology: self.topology,
                workers,
                subnet,
                tld_prefix,
                kubernetes: version.to_owned(),
                cni: self.cni,
                cilium: self.cilium,
                engine: self.engine,
                size: self.engine.is_virtual().then(|| self.size.unwrap_or_default()),
                handling: self.handling,
            }),
            _ => Err(SpecError { problems }),
        }
    }
}

/// A request in which every field is well-formed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedSpec {
    /// The instance's name.
    pub name: Label,
    /// One node, one control plane with workers, or three control planes with workers.
    pub topology: Topology,
    /// The number of workers, at most [`MOST_WORKERS`].
    pub workers: u8,
    /// The host network; `None` for the next free one.
    pub subnet: Option<Ipv4Net>,
    /// The first label of the DNS suffix.
    pub tld_prefix: Label,
    /// The Kubernetes version, with its `v`.
    pub kubernetes: String,
    /// The pod network.
    pub cni: CniKind,
    /// Options of Cilium; all off with another pod network.
    pub cilium: CiliumOptions,
    /// The engine, which makes the nodes.
    pub engine: EngineKind,
    /// The size of each VM; `None` for containers, which have no fixed size.
    pub size: Option<NodeSize>,
    /// How an operator's instance and a test's instance differ.
    pub handling: Handling,
}

/// All problems of a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the spec has {}: {}", count(.problems.len()), listed(.problems))]
pub struct SpecError {
    /// All problems, in the order of the fields.
    pub problems: Vec<SpecProblem>,
}

impl Hint for SpecError {
    fn hint(&self) -> Option<String> {
        None // each problem names the allowed values
    }
}

/// One problem of a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} '{value}' {why}")]
pub struct SpecProblem {
    /// The flag of `homelab up`, such as `--subnet`, or `name`.
    pub field: &'static str,
    /// The value of that flag.
    pub value: String,
    /// The problem, as the end of a sentence: `is not in a private range (RFC 1918)`.
    pub why: String,
}

impl SpecProblem {
    fn new(field: &'static str, value: &str, why: &str) -> Self {
        Self { field, value: value.to_owned(), why: why.to_owned() }
    }
}

fn count(problems: usize) -> String {
    if problems == 1 { "a problem".to_owned() } else { format!("{problems} problems") }
}

fn listed(problems: &[SpecProblem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// The problems of a size for nodes of this engine.
fn size_problems(size: NodeSize, engine: EngineKind) -> Vec<SpecProblem> {
    let asked = [
        ("--cpus", u32::from(size.cpus), u32::from(NodeSize::LEAST.cpus)),
        ("--memory", size.memory_mib, NodeSize::LEAST.memory_mib),
    ];
    let problem = |(field, asked, least): (&'static str, u32, u32)| {
        let why = match engine.is_virtual() {
            false => format!("needs `--engine vagrant`: nodes of the engine {engine} have no size"),
            true if asked < least => format!("is too small; kubeadm needs at least {least}"),
            true => return None,
        };
        Some(SpecProblem::new(field, &asked.to_string(), &why))
    };
    asked.into_iter().filter_map(problem).collect()
}

fn parse_subnet(text: &str) -> Result<Ipv4Net, String> {
    let net: Ipv4Net =
        text.parse().map_err(|_| "is not an IPv4 network such as 192.168.60.0/24".to_owned())?;
    match net {
        _ if net.trunc() != net => Err(format!("has host bits set; did you mean {}?", net.trunc())),
        // The sizes that a pool's blocks may have. The claim checks whether the subnet has addresses for all nodes.
        _ if !(24..=27).contains(&net.prefix_len()) => Err("must be a /24, /25, /26 or /27".to_owned()),
        _ if !net.addr().is_private() => Err("is not in a private range (RFC 1918)".to_owned()),
        _ => Ok(net),
    }
}
