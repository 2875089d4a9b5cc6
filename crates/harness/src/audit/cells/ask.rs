//! Plans the probes. Two cells that need the same probe share one, with one nonce.

use std::collections::BTreeMap;

use probe::{Ask, Nonce, Probe, Sight};

use super::depth::Depths;
use super::{Barrier, CellMethod, places};
use crate::audit::class::{Asked, Class, ClassId, Method, MissingPart, Proof, Scene, Towards};
use crate::audit::subject::{HostSubject, Subject, UDP_PORT};
use crate::audit::verdict::Judgement;
use crate::audit::viewpoint::{HOST, Route, Stand, Viewpoint};

/// The planned probes by protocol, with the evidence that they need.
type Planned = BTreeMap<&'static str, (Proof, Vec<Nonce>)>;
/// Viewpoint, source, target (`None`: the host) and class.
type Key = (Viewpoint, String, Option<String>, ClassId);

pub(super) struct Asks<'a> {
    run: u32,
    next: u32,
    subjects: &'a [Subject],
    host: &'a HostSubject,
    depths: &'a Depths,
    planned: BTreeMap<Key, Planned>,
    looks: BTreeMap<(Viewpoint, String), Nonce>,
    batches: BTreeMap<Viewpoint, Vec<Probe>>,
}

impl<'a> Asks<'a> {
    pub(super) fn new(run: u32, subjects: &'a [Subject], host: &'a HostSubject, depths: &'a Depths) -> Self {
        let (planned, looks, batches) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { run, next: 0, subjects, host, depths, planned, looks, batches }
    }

    /// The methods of all cells of a class from a viewpoint to an instance, or to the host (`None`); one for each
    /// protocol.
    ///
    /// # Errors
    /// [`MissingPart`] when the class cannot be probed there. The cell is then inconclusive.
    pub(super) fn probes(
        &mut self,
        class: &Class,
        viewpoint: &Viewpoint,
        source: &Subject,
        other: Option<&Subject>,
    ) -> Result<Vec<(&'static str, CellMethod)>, MissingPart> {
        let cross = self.ask(class, viewpoint, source, other)?;
        if cross.is_empty() {
            return Ok(Vec::new());
        }
        let control = self.ask(class, viewpoint, source, Some(source))?;
        let own = match (class.towards, other) {
            (Towards::Instances | Towards::InstancesAndHost, Some(other)) => {
                // The last viewpoint of its kind: a worker, where there is one, probes a control plane over the
                // network.
                let inside = places(viewpoint.stand(), other).pop();
                let inside = inside.ok_or_else(|| MissingPart(format!("'{}' has no node", other.name)))?;
                let mut own = self.ask(class, &inside, other, Some(other))?;
                if other.uplink.is_none() && class.from.contains(&Stand::Pod) {
                    // What nodes with their own routes cannot ask, pods can.
                    let pod = Viewpoint::Pod { instance: other.name.clone() };
                    for (protocol, planned) in self.ask(class, &pod, other, Some(other))? {
                        own.entry(protocol).or_insert(planned);
                    }
                }
                let is_alone = other.nodes.len() == 1 && other.uplink.is_some();
                if viewpoint.stand() == Stand::Node && class.from.contains(&Stand::Node) && is_alone {
                    // The host probes a single node as well, as far as it can: probes of the node arrive at the witness
                    // on the host's end of its link, not in the node.
                    own.extend(self.ask(class, &Viewpoint::Host, other, Some(other))?);
                }
                Some(own)
            }
            (Towards::UnusedAddresses, _) => None,
            _ => Some(self.ask(class, &Viewpoint::Host, source, None)?),
        };
        let nonces = |planned: &Planned, protocol| {
            planned.get(protocol).map(|(_, nonces)| nonces.clone()).unwrap_or_default()
        };
        let ways = cross.into_iter().map(|(protocol, (proof, cross))| {
            let control = nonces(&control, protocol);
            let own = own.as_ref().map(|own| nonces(own, protocol));
            let lacking = match (&control, &own) {
                (control, _) if control.is_empty() => Some(source.name.as_str()),
                (_, Some(own)) if own.is_empty() => Some(other.map_or(HOST, |other| &other.name)),
                _ => None,
            };
            let way = match lacking {
                Some(name) => CellMethod::Judged(Judgement::inconclusive(format!(
                    "'{name}' has no possible control for this probe"
                ))),
                None => CellMethod::Probes { proof, cross, control, own },
            };
            (protocol, way)
        });
        Ok(ways.collect())
    }

    fn ask(
        &mut self,
        class: &Class,
        viewpoint: &Viewpoint,
        source: &Subject,
        other: Option<&Subject>,
    ) -> Result<Planned, MissingPart> {
        let target = other.map(|other| other.name.clone());
        let key = (viewpoint.clone(), source.name.clone(), target, class.id);
        if let Some(planned) = self.planned.get(&key) {
            return Ok(planned.clone());
        }
        let Method::Probes(questions) = class.way else { return Ok(Planned::new()) };
        let target = other.map_or(Asked::Host, Asked::Instance);
        let mut planned = Planned::new();
        let depth = self.depths.of(viewpoint, source, other.map_or(HOST, |other| &other.name));
        for question in questions(&Scene { viewpoint, source, target, host: self.host, depth })? {
            if viewpoint.can(&question.ask) {
                let nonce = self.add(viewpoint, question.ask);
                let entry = planned.entry(question.protocol).or_insert((question.proof, Vec::new()));
                entry.1.push(nonce);
            }
        }
        self.planned.insert(key, planned.clone());
        Ok(planned)
    }

    pub(super) fn look(&mut self, viewpoint: &Viewpoint, at: Sight) -> Nonce {
        let key = (viewpoint.clone(), format!("{at:?}"));
        if let Some(nonce) = self.looks.get(&key) {
            return nonce.clone();
        }
        let nonce = self.add(viewpoint, Ask::Look { at });
        self.looks.insert(key, nonce.clone());
        nonce
    }

    /// A first or last datagram for each witness, from another node of its instance where there is one.
    pub(super) fn barriers(&mut self) -> Vec<Barrier> {
        let mut barriers = Vec::new();
        for subject in self.subjects {
            let nodes = subject.nodes.iter().map(|node| (&node.witness, node.address, node.name.as_str()));
            let pod = [(&subject.pod.witness, subject.pod.address, subject.pod.node.as_str())];
            for (witness, address, here) in nodes.chain(pod) {
                let other = subject.nodes.iter().rev().find(|node| node.name != here);
                let node = other.map_or(here, |node| node.name.as_str()).to_owned();
                let from = Viewpoint::Node { instance: subject.name.clone(), node, by: Route::Own };
                barriers.push((witness.clone(), from, address.into()));
            }
        }
        for subject in self.subjects {
            // The gateway does not answer, but the witness on its end of the link sees the datagram.
            for (link, node) in subject.link_witnesses.iter().zip(std::iter::repeat(&subject.nodes[0])) {
                let (instance, node) = (subject.name.clone(), node.name.clone());
                let from = Viewpoint::Node { instance, node, by: Route::Own };
                barriers.push((link.witness.clone(), from, link.gateway.into()));
            }
        }
        let own = self.host.addresses.iter().map(|(_, address)| *address).find(std::net::IpAddr::is_ipv4);
        barriers.extend(own.map(|address| (self.host.witness.clone(), Viewpoint::Host, address)));
        let barriers = barriers.into_iter().map(|(witness, from, to)| {
            let ask = Ask::Udp { to: (to, UDP_PORT).into(), size: 64 };
            Barrier { witness, from, probe: Probe { nonce: self.nonce(), ask } }
        });
        barriers.collect()
    }

    fn add(&mut self, viewpoint: &Viewpoint, ask: Ask) -> Nonce {
        let nonce = self.nonce();
        let probe = Probe { nonce: nonce.clone(), ask };
        self.batches.entry(viewpoint.clone()).or_default().push(probe);
        nonce
    }

    fn nonce(&mut self) -> Nonce {
        self.next += 1;
        Nonce::new(self.run, self.next)
    }

    pub(super) fn into_batches(self) -> BTreeMap<Viewpoint, Vec<Probe>> {
        self.batches
    }
}
