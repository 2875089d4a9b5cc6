//! Sample instances and runs for tests: two correct instances, and a run in which every cell is isolated.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use probe::{Answer, Arrival, Ask, Cast, Mac, Nonce, Peer, ProbeOutcome, Sight};
use provisioner::identity::CHAIN;
use provisioner::plan::Role;
use provisioner::slowdown::Slowdown;

use super::cells::{CellMethod, Plan};
use super::class::Proof;
use super::declared::{DeclaredPath, DeclaredProtocol};
use super::observed::{Observed, Watch};
use super::structure::Structure;
use super::subject::*;

/// A correct instance with containers: `192.168.<third>.0/24`, with this number of workers.
pub(crate) fn subject(name: &str, third: u8, workers: u8) -> Subject {
    let address = |number| Ipv4Addr::new(192, 168, third, number);
    let net = |text: String| text.parse().expect("a network");
    let node = |suffix: &str, role, number: u8| NodeSubject {
        name: format!("{name}-{suffix}"),
        role,
        address: address(number),
        link: "eth0".to_owned(),
        net: net(format!("192.168.{third}.0/24")),
        link_local: Some(format!("fe80::{third}:{number}").parse().expect("an address")),
        witness: format!("{name}-{suffix}/witness"),
        management: None,
        routed_v6: vec![super::ipv6::beside(address(number), net(format!("192.168.{third}.0/24")))],
        mac: Some(Mac([2, 0, 192, 168, third, number])),
        macs: vec![Mac([2, 0, 192, 168, third, number])],
        neighbours: Some(vec![Neighbour {
            address: address(1).into(),
            mac: Mac([2, 0, 192, 168, third, 1]),
        }]),
        found: Some(NodeTraces::default()),
        machine: Some(NodeIdentity {
            machine_id: format!("m-{name}-{suffix}"),
            node_uid: format!("u-{name}-{suffix}"),
            host_keys: Vec::new(),
            product: None,
            lets_in: Vec::new(),
        }),
    };
    let nodes = (1..=workers).map(|i| node(&format!("w-{i}"), Role::Worker, 20 + i));
    let nodes: Vec<_> = std::iter::once(node("cp-1", Role::ControlPlane, 10)).chain(nodes).collect();
    let authority = |role: AuthorityRole| KnownAuthority {
        role,
        certificate: (role != AuthorityRole::ServiceAccounts).then(|| format!("cert {name} {}", role.name())),
        key: format!("key {name} {}", role.name()),
        pem: Some(format!("PEM {name} {}", role.name())),
    };
    let link = |what: &str| {
        let value = format!("{what} of {name}");
        Property { what: what.to_owned(), recorded: value.clone(), found: value }
    };
    let shown = |what: &str| ClientCertificate {
        certificate: format!("CERT {name}{what}"),
        key: Secret::new("hunter2"),
    };
    let signed = |(signer, what): (AuthorityRole, &str)| signed_by(signer, shown(what));
    let certificates = [
        (AuthorityRole::Cluster, ""),
        (AuthorityRole::Cluster, " kubelet"),
        (AuthorityRole::Etcd, " etcd"),
        (AuthorityRole::FrontProxy, " front proxy"),
    ];
    Subject {
        name: name.to_owned(),
        parts: Parts::default(),
        kernel: Kernel::OfHost,
        uplink: Some(Uplink {
            subnet: net(format!("192.168.{third}.0/24")),
            link: format!("hl-{name}"),
            gateway: address(1),
            gateway_mac: Some(Mac([2, 0, 192, 168, third, 1])),
        }),
        management: None,
        link_witnesses: (workers == 0)
            .then(|| LinkWitness {
                witness: format!("{name}/link"),
                link: format!("hl-{name}"),
                gateway: address(1),
            })
            .into_iter()
            .collect(),
        slowdown: Slowdown::NONE,
        passes_every_protocol: true,
        pod_cidrs: vec![net(format!("10.{}.0.0/16", 184 + u16::from(third)))],
        service_cidr: Some(net(format!("10.{}.0.0/16", 36 + u16::from(third)))),
        pod: PodWitness {
            witness: format!("{name}/pod-witness"),
            node: nodes.last().expect("a node").name.clone(),
            address: Ipv4Addr::new(10, 184 + third, 1, 5),
            service: Ipv4Addr::new(10, 36 + third, 0, 99),
            node_port: 30701,
        },
        dns: DnsSubject {
            server: Some(Ipv4Addr::new(10, 36 + third, 0, 10)),
            only_here: format!("only-{name}.audit.svc.cluster.local"),
        },
        api: ApiServer {
            access: Some((address(10), 6443).into()),
            name: format!("api.{name}.lab"),
            endpoints: vec![(address(10), 6443).into()],
        },
        credentials: CredentialSet {
            administrator: Some(shown("")),
            certificates: Some(certificates.map(signed).to_vec()),
            service_account: Some(Secret::new("hunter2")),
            bootstrap: Some(Secret::new("hunter2")),
        },
        authorities: Some(AuthorityRole::ALL.map(authority).to_vec()),
        trust: trust(name, &nodes),
        declared: Vec::new(),
        identity: Some(CHAIN.map(link).to_vec()),
        store: Some(vec![format!("8:1:{third} /var/lib/containerd/blob")]),
        search: Some(Search { control_found: true, ..Search::default() }),
        nodes,
    }
}

fn signed_by(signer: AuthorityRole, shown: ClientCertificate) -> KnownCertificate {
    KnownCertificate { signer: Some(signer), shown }
}

/// What the servers of an instance trust: authorities of its own.
fn trust(name: &str, nodes: &[NodeSubject]) -> Trust {
    use AuthorityRole::{Cluster, Etcd, FrontProxy, ServiceAccounts};
    let anchor = |node: &NodeSubject, (server, setting, role): (&str, &str, AuthorityRole)| TrustAnchor {
        node: node.name.clone(),
        server: server.to_owned(),
        setting: setting.to_owned(),
        file: format!("/pki/{setting}"),
        block: 1,
        key: format!("key {name} {}", role.name()),
    };
    let control_plane = [
        ("kube-apiserver", "client-ca-file", Cluster),
        ("kube-apiserver", "requestheader-client-ca-file", FrontProxy),
        ("kube-apiserver", "service-account-key-file", ServiceAccounts),
        ("kube-apiserver", "etcd-cafile", Etcd),
        ("kube-controller-manager", "root-ca-file", Cluster),
        ("etcd", "trusted-ca-file", Etcd),
        ("etcd", "peer-trusted-ca-file", Etcd),
    ];
    let first = control_plane.map(|setting| anchor(&nodes[0], setting));
    let kubelets = nodes.iter().map(|node| anchor(node, ("kubelet", "clientCAFile", Cluster)));
    Trust { anchors: first.into_iter().chain(kubelets).collect(), ..Trust::default() }
}

/// The same instance with VMs, and the management network `10.232.<third>.0/24`.
pub(crate) fn in_vms(name: &str, third: u8, workers: u8) -> Subject {
    let mut subject = subject(name, third, workers);
    let at = |number| Ipv4Addr::new(10, 232, third, number);
    subject.kernel = Kernel::Own;
    subject.nodes.iter_mut().for_each(|node| node.link = "eth1".to_owned());
    subject.slowdown = Slowdown::EMULATED;
    subject.management = Some(Management {
        net: Some(format!("10.232.{third}.0/24").parse().expect("a network")),
        gateway: at(1),
        node_link: "eth0".to_owned(),
        link: Some(format!("hl-m{name}")),
    });
    if workers == 0 {
        subject.link_witnesses.push(LinkWitness {
            witness: format!("{name}/management"),
            link: format!("hl-m{name}"),
            gateway: at(1),
        });
    }
    for (number, node) in (10..).zip(&mut subject.nodes) {
        node.management = Some(at(number));
        node.found = Some(NodeTraces {
            ssh: vec!["process sshd".to_owned()],
            adapters: vec!["eth0".to_owned(), "eth1".to_owned()],
        });
        let machine = node.machine.as_mut().expect("a machine");
        machine.product = Some(format!("p-{}", node.name));
        machine.host_keys = vec![format!("ssh-ed25519 host-{}", node.name)];
        machine.lets_in = vec![format!("ssh-ed25519 user-{name}")];
    }
    subject
}

/// A correct cluster of which only the kubeconfig is known. Its nodes are in a network of other systems.
pub(crate) fn attached(name: &str, third: u8, workers: u8) -> Subject {
    let mut subject = subject(name, third, workers);
    subject.parts = Parts::by_kubeconfig();
    subject.kernel = Kernel::Unknown;
    subject.uplink = None;
    subject.link_witnesses.clear();
    subject.passes_every_protocol = false;
    (subject.authorities, subject.identity, subject.store, subject.search) = (None, None, None, None);
    subject.trust = Trust::default();
    let administrator = subject.credentials.administrator.iter().cloned();
    let certificates = administrator.map(|shown| signed_by(AuthorityRole::Cluster, shown));
    subject.credentials.certificates = Some(certificates.collect());
    for node in &mut subject.nodes {
        node.routed_v6.clear();
        (node.neighbours, node.found, node.machine) = (None, None, None);
    }
    subject
}

/// Adds a system to the link of the first node that is neither a node nor the host.
pub(crate) fn add_stranger(subject: &mut Subject) {
    let stranger =
        Neighbour { address: subject.nodes[0].net.broadcast().into(), mac: Mac([2, 9, 9, 9, 9, 9]) };
    subject.nodes[0].neighbours.get_or_insert_default().push(stranger);
}

/// A correct host.
pub(crate) fn host() -> HostSubject {
    let addresses = [("eth0", "10.0.0.7"), ("hl-acme", "192.168.60.1"), ("hl-globex", "192.168.61.1")];
    let key = |link: &str| (format!("net.ipv4.conf.{link}.route_localnet"), "0".to_owned());
    HostSubject {
        addresses: addresses.map(|(link, ip)| (link.to_owned(), ip.parse().expect("an address"))).to_vec(),
        witness: "host/witness".to_owned(),
        listeners: vec![22],
        bound: vec!["10.232.60.1:53".parse().expect("an address and a port")],
        forwards: Some(Vec::new()),
        settings: ["all", "eth0", "hl-acme", "hl-globex"].map(key).into_iter().collect(),
        networks: Some(vec![("eth0".to_owned(), "10.0.0.0/24".parse().expect("a network"))]),
        disagreements: Some(Vec::new()),
    }
}

/// acme with one worker, and globex without workers.
pub(crate) fn two() -> Vec<Subject> {
    vec![subject("acme", 60, 1), subject("globex", 61, 0)]
}

/// The same two instances with VMs.
pub(crate) fn two_in_vms() -> Vec<Subject> {
    vec![in_vms("acme", 60, 1), in_vms("globex", 61, 0)]
}

/// The results of a run in which every control answered, every witness ran to the end, and no probe crossed.
pub(crate) fn quiet(plan: &Plan) -> Observed {
    let mut observed = Observed::default();
    observed.after.left = Some(Vec::new());
    observed.after.structure = Some(Ok(Structure::default()));
    for subject in &plan.subjects {
        for witness in subject.witnesses() {
            observed.watches.insert(witness.to_owned(), watch());
        }
        for node in &subject.nodes {
            let watch = observed.watches.get_mut(&node.witness).expect("the witness of just now");
            watch.peers.push(of_host(subject));
        }
    }
    observed.watches.insert(plan.host.witness.clone(), watch());
    for barrier in plan.openers.iter().chain(&plan.barriers) {
        arrive(&mut observed, &barrier.witness, &barrier.probe.nonce);
    }
    let asks: BTreeMap<_, _> = plan
        .batches
        .iter()
        .flat_map(|(viewpoint, batch)| {
            batch.probes.iter().map(move |probe| (&probe.nonce, (viewpoint, probe)))
        })
        .collect();
    for (viewpoint, batch) in &plan.batches {
        observed.commands.insert(viewpoint.clone(), "homelab-probe prober".to_owned());
        for probe in &batch.probes {
            let outcome = match &probe.ask {
                Ask::Look { at } => {
                    let subject = viewpoint.instance().and_then(|instance| plan.subject(instance));
                    let kernel = match subject {
                        Some(subject) if subject.kernel == Kernel::Own => viewpoint.to_string(),
                        _ => "the host's".to_owned(),
                    };
                    ProbeOutcome::Seen { boot: Some(kernel), lines: vec![seen(*at, &viewpoint.to_string())] }
                }
                _ => ProbeOutcome::Silent,
            };
            say(&mut observed, &probe.nonce, outcome);
            let answer = observed.answers.get_mut(&probe.nonce).expect("the answer of just now");
            answer.sent =
                u32::try_from(probe.ask.packets_at_least()).expect("a plan of thousands of packets");
        }
    }
    let nothing = Observed::default();
    let run = super::judge::Run::new(plan, &nothing);
    for cell in &plan.cells {
        let CellMethod::Probes { proof, cross, control, own } = &cell.way else { continue };
        let refusal = match proof {
            Proof::Login | Proof::Access => Some(answered(None, "HTTP 401")),
            Proof::Handshake => Some(answered(None, "TLS alert UnknownCA")),
            Proof::Address => Some(answered(None, "NXDOMAIN")),
            Proof::Witnessed | Proof::Answer | Proof::AnyAnswer => None,
        };
        for nonce in cross {
            if let Some(refusal) = &refusal {
                say(&mut observed, nonce, refusal.clone());
            }
        }
        let controls = control.iter().map(|nonce| (nonce, &cell.source));
        let target = cell.target.name().to_owned();
        let owns = own.iter().flatten().map(|nonce| (nonce, &target));
        for (nonce, of) in controls.chain(owns).collect::<Vec<_>>() {
            let (viewpoint, probe) = asks[nonce];
            let witness = run.due(&probe.ask);
            let beside = run.beside(viewpoint);
            let anyone = || {
                let of =
                    plan.subject(of).map(|of| of.witnesses().collect()).unwrap_or(vec![&*plan.host.witness]);
                let far = of.iter().rev().find(|witness| !beside.iter().any(|beside| beside == **witness));
                (*far.unwrap_or(&of[0])).to_owned()
            };
            let witness = witness.unwrap_or_else(anyone);
            let outcome = match (proof, &asks[nonce].1.ask) {
                (Proof::Address, _) => answered(None, "10.96.0.5"),
                (Proof::Login | Proof::Access | Proof::Handshake, _) | (_, Ask::Https { .. }) => {
                    answered(None, "HTTP 200")
                }
                _ => answered(Some(&witness), "hello"),
            };
            say(&mut observed, nonce, outcome);
            arrive(&mut observed, &witness, nonce);
        }
    }
    observed
}

fn watch() -> Watch {
    Watch { ready: true, alive: true, ..Watch::default() }
}

/// A frame of the host on the link of a subject's nodes.
fn of_host(subject: &Subject) -> Peer {
    Peer {
        at_us: 1_795_000_000_000_500,
        link: subject.nodes.first().map(|node| node.link.clone()),
        mac: subject.uplink.as_ref().and_then(|uplink| uplink.gateway_mac),
        ether_type: 0x0806,
        vlan: None,
        from: subject.gateway().map(Into::into),
        to: None,
        cast: Cast::Broadcast,
    }
}

fn seen(at: Sight, viewpoint: &str) -> String {
    let number = viewpoint.bytes().fold(7_u8, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte));
    match at {
        Sight::Links => format!("eth0 02:00:00:00:00:{number:02x} 172.16.0.{number}/24"),
        Sight::Processes => format!("1 init pid:[{number}]"),
        Sight::Sockets => format!("8:1 {number} /run/{number}.sock /run"),
        _ => format!("8:1 {number} rw /nodes/{number} /var ext4 /dev/sda1"),
    }
}

pub(crate) fn answered(identity: Option<&str>, what: &str) -> ProbeOutcome {
    ProbeOutcome::Answered { identity: identity.map(str::to_owned), from: None, what: vec![what.to_owned()] }
}

/// Sets the answer to a probe.
pub(crate) fn say(observed: &mut Observed, nonce: &Nonce, outcome: ProbeOutcome) {
    let answer = Answer { nonce: nonce.clone(), sent: 1, at_us: 1_795_000_000_000_000, outcome };
    observed.answers.insert(nonce.clone(), answer);
}

/// Adds the arrival of a nonce at a witness.
pub(crate) fn arrive(observed: &mut Observed, witness: &str, nonce: &Nonce) {
    let watch = observed.watches.get_mut(witness).expect("a witness of the plan");
    watch.arrivals.push(Arrival {
        nonce: nonce.clone(),
        at_us: 1_795_000_000_000_450,
        link: Some("eth0".to_owned()),
        protocol: "tcp".to_owned(),
        from: Some("192.168.60.10:40312".to_owned()),
        to: None,
    });
}

/// A path over TCP that is open on purpose.
pub(crate) fn declared(target: &str, to: &str, ports: (u16, u16)) -> DeclaredPath {
    DeclaredPath {
        target: target.to_owned(),
        to: to.parse().expect("a network"),
        protocol: DeclaredProtocol::Tcp,
        ports,
        reason: "a shared API".to_owned(),
        by: "anna".to_owned(),
        at: jiff::Timestamp::UNIX_EPOCH,
    }
}
