//! Judges the results of a run: a verdict for each cell.
//!
//! A cell is *isolated* only when every condition was checked and holds. Missing evidence gives *inconclusive*. There
//! are six judges, each pure: [`probes`] compares answers with witnesses, [`look`] compares the inspections of two
//! sides, [`overheard`] compares frames that arrived with the plan, [`facts`], [`structure`] and [`trust`] compare known
//! facts. Next: [`report`](super::report).

mod evidence;
mod probes;
mod look;
mod overheard;
mod facts;
mod structure;
mod trust;
mod differences;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use probe::{Answer, Arrival, Ask, Nonce, Probe};

use super::cells::{Cell, CellMethod, Plan};
use super::declared::DeclaredPath;
use super::observed::{Observed, Watch};
use super::subject::{Kernel, NodeSubject, Subject};
use super::verdict::Judgement;
use super::viewpoint::{Target, Viewpoint};

pub use evidence::{Evidence, Party, Sent, WitnessState};
pub use probes::judge;
pub(super) use probes::words;

/// A plan and its results, with indices.
pub(super) struct Run<'a> {
    plan: &'a Plan,
    observed: &'a Observed,
    probes: BTreeMap<&'a Nonce, (&'a Viewpoint, &'a Probe)>,
    arrivals: BTreeMap<&'a Nonce, Vec<(&'a str, &'a probe::Arrival)>>,
    owners: BTreeMap<&'a str, &'a str>,
}

impl<'a> Run<'a> {
    pub(super) fn new(plan: &'a Plan, observed: &'a Observed) -> Self {
        let sent = plan.batches.iter().flat_map(|(viewpoint, batch)| {
            batch.probes.iter().map(move |probe| (&probe.nonce, (viewpoint, probe)))
        });
        let mut arrivals: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (witness, watch) in &observed.watches {
            for arrival in &watch.arrivals {
                arrivals.entry(&arrival.nonce).or_default().push((witness.as_str(), arrival));
            }
        }
        let owners = plan
            .subjects
            .iter()
            .flat_map(|subject| subject.witnesses().map(move |witness| (witness, subject.name.as_str())));
        let host = (plan.host.witness.as_str(), Target::Host);
        Self {
            probes: sent.collect(),
            owners: owners.chain([(host.0, super::HOST)]).collect(),
            arrivals,
            plan,
            observed,
        }
    }

    /// The verdict of a cell, and its evidence where probers took part.
    pub(super) fn judge(&self, cell: &Cell) -> (Judgement, Option<Evidence>) {
        match &cell.way {
            CellMethod::Judged(judgement) => (judgement.clone(), None),
            CellMethod::Listen => {
                let (source, target) =
                    (self.plan.subject(&cell.source), self.plan.subject(cell.target.name()));
                let judgement = match source.zip(target) {
                    Some((source, target)) => overheard::judge(&self.heard(source, target)),
                    None => Judgement::inconclusive("an instance of the cell is unknown"),
                };
                (judgement, None)
            }
            CellMethod::Fact(fact) => {
                let source = self.plan.subject(&cell.source);
                let target = self.plan.subject(cell.target.name());
                let Some(source) = source else {
                    return (Judgement::inconclusive("the source instance is unknown"), None);
                };
                let known = facts::Known { source, target, plan: self.plan, after: &self.observed.after };
                (facts::judge(*fact, &known), None)
            }
            CellMethod::Look { here, there, .. } => {
                let (source, target) =
                    (self.plan.subject(&cell.source), self.plan.subject(cell.target.name()));
                let sides = || [source, target].into_iter().flatten();
                let judgement = look::judge(&look::Looks {
                    class: cell.class,
                    here: self.observed.answers.get(here),
                    there: there.iter().map(|nonce| self.observed.answers.get(nonce)).collect(),
                    one_kernel: sides().all(|subject| subject.kernel == Kernel::OfHost),
                    adapters: source.map(adapters).unwrap_or_default(),
                    networks: target.map(networks).unwrap_or_default(),
                });
                let sides = [here].into_iter().chain(there);
                (judgement, Some(self.evidence(cell, None, sides, &[], None)))
            }
            CellMethod::Probes { proof, cross, control, own } => {
                let evidence = self.evidence(cell, Some(*proof), cross, control, own.as_deref());
                (judge(&evidence), Some(evidence))
            }
        }
    }

    /// What the target's witnesses heard in this run.
    fn heard(&self, source: &'a Subject, target: &'a Subject) -> overheard::Heard<'a> {
        let watches =
            target.witnesses().filter_map(|witness| Some((witness, self.observed.watches.get(witness)?)));
        let watches: Vec<(&str, &Watch)> = watches.collect();
        let arrivals = watches.iter().flat_map(|(witness, watch)| {
            let planned =
                |arrival: &'a Arrival| Some((*witness, arrival, self.probes.get(&arrival.nonce)?.0));
            watch.arrivals.iter().filter_map(planned)
        });
        let frames = watches
            .iter()
            .flat_map(|(witness, watch)| watch.frames_of(self.plan.run).map(move |peer| (*witness, peer)));
        let doubt = self.states(&target.name).into_iter().find_map(|state| {
            let why = state.doubt?;
            Some(format!("{}: {why}", state.witness))
        });
        let omitted = watches.iter().find(|(_, watch)| watch.peers_omitted > 0).map(|(witness, watch)| {
            format!("{witness} did not report {} kinds of frames", watch.peers_omitted)
        });
        overheard::Heard {
            source,
            target,
            host: &self.plan.host,
            arrivals: arrivals.collect(),
            frames: frames.collect(),
            doubt: doubt.or(omitted),
            declared: self.declared(&source.name, &target.name).collect(),
        }
    }

    fn evidence<'n>(
        &self,
        cell: &Cell,
        proof: Option<super::Proof>,
        cross: impl IntoIterator<Item = &'n Nonce>,
        control: &[Nonce],
        own: Option<&[Nonce]>,
    ) -> Evidence {
        let all = |nonces: &[Nonce]| nonces.iter().map(|nonce| self.sent(nonce)).collect::<Vec<_>>();
        Evidence {
            proof: proof.unwrap_or(super::Proof::Answer),
            source: self.party(&cell.source),
            target: self.party(cell.target.name()),
            cross: cross.into_iter().map(|nonce| self.sent(nonce)).collect(),
            control: all(control),
            own: own.map(all),
            witnesses: self.states(cell.target.name()),
            declared: self.declared(&cell.source, cell.target.name()).cloned().collect(),
        }
    }

    /// A planned probe, its answer and its arrivals. A nonce that is not in the plan was never sent.
    fn sent(&self, nonce: &Nonce) -> Sent {
        let planned = self.probes.get(nonce);
        let from = planned.map(|(viewpoint, _)| (*viewpoint).clone());
        let broken = from.as_ref().and_then(|viewpoint| self.observed.broken.get(viewpoint));
        let arrivals = self.arrivals.get(nonce).into_iter().flatten().map(|(witness, arrival)| {
            let owner = self.owners.get(witness).copied().unwrap_or("an unknown instance");
            (owner.to_owned(), (*witness).to_owned(), (*arrival).clone())
        });
        Sent {
            nonce: nonce.clone(),
            ask: planned.map(|(_, probe)| probe.ask.clone()),
            beside: from.as_ref().map(|viewpoint| self.beside(viewpoint)).unwrap_or_default(),
            command: from.as_ref().and_then(|viewpoint| self.observed.commands.get(viewpoint)).cloned(),
            due: planned.and_then(|(_, probe)| self.due(&probe.ask)),
            from,
            answer: self.observed.answers.get(nonce).cloned(),
            broken: broken.cloned(),
            arrivals: arrivals.collect(),
        }
    }

    /// The witnesses on the prober's node: for a pod, on the node where it runs.
    pub(super) fn beside(&self, viewpoint: &Viewpoint) -> Vec<String> {
        let subject = viewpoint.instance().and_then(|instance| self.plan.subject(instance));
        let node = match (viewpoint, subject) {
            (Viewpoint::Node { node, .. }, _) => node,
            (Viewpoint::Pod { .. }, Some(subject)) => &subject.pod.node,
            _ => return Vec::new(),
        };
        let nodes = subject.iter().flat_map(|subject| &subject.nodes).filter(|here| here.name == *node);
        let pod = subject.map(|subject| &subject.pod).filter(|pod| pod.node == *node);
        nodes.map(|here| here.witness.clone()).chain(pod.map(|pod| pod.witness.clone())).collect()
    }

    /// The witness at the destination of a probe: a node's, or the pod's for the pod's address, its service and its
    /// NodePort. `None` for a multicast or broadcast, and for an address without a witness.
    pub(super) fn due(&self, ask: &Ask) -> Option<String> {
        let to = evidence::address(ask)?;
        self.plan.subjects.iter().find_map(|subject| {
            let (pod, published) = (&subject.pod, evidence::port(ask) == Some(subject.pod.node_port));
            let node = subject.nodes.iter().find(|node| of_node(node).any(|own| own == to));
            match node {
                Some(node) if !published => Some(node.witness.clone()),
                Some(_) => Some(pod.witness.clone()),
                None => {
                    [pod.address, pod.service].map(IpAddr::from).contains(&to).then(|| pod.witness.clone())
                }
            }
        })
    }

    /// The paths from a source to a target that are open on purpose.
    fn declared(&self, source: &str, target: &str) -> impl Iterator<Item = &'a DeclaredPath> {
        let all = self.plan.subject(source).into_iter().flat_map(|subject| &subject.declared);
        all.filter(move |path| path.target == target)
    }

    fn party(&self, name: &str) -> Party {
        let (addresses, witnesses): (Vec<IpAddr>, Vec<String>) = match self.plan.subject(name) {
            Some(subject) => (addresses(subject), subject.witnesses().map(str::to_owned).collect()),
            None => {
                let all = self.plan.host.addresses.iter().map(|(_, address)| *address);
                (all.collect(), vec![self.plan.host.witness.clone()])
            }
        };
        Party { name: name.to_owned(), addresses, witnesses }
    }

    fn states(&self, name: &str) -> Vec<WitnessState> {
        let expected = self.party(name).witnesses.into_iter();
        expected
            .map(|witness| {
                let doubt = match self.observed.watches.get(&witness) {
                    None => Some("no report was read from it".to_owned()),
                    Some(watch) => watch.doubt(&self.barrier_of(&witness)),
                };
                WitnessState { witness, doubt }
            })
            .collect()
    }

    fn barrier_of(&self, witness: &str) -> BTreeSet<Nonce> {
        let own = self.plan.barriers.iter().filter(|barrier| barrier.witness == witness);
        own.map(|barrier| barrier.probe.nonce.clone()).collect()
    }
}

/// The addresses that answer for an instance: nodes, pod, service, DNS and API. The gateway belongs to the host.
fn addresses(of: &Subject) -> Vec<IpAddr> {
    let nodes = of.nodes.iter().flat_map(of_node);
    let others = [of.pod.address, of.pod.service].into_iter().chain(of.dns.server).map(IpAddr::from);
    let api = of.api.endpoints.iter().chain(&of.api.access).map(SocketAddr::ip);
    nodes.chain(others).chain(api.filter(|address| !address.is_loopback())).collect()
}

/// The addresses that answer for a node.
fn of_node(node: &NodeSubject) -> impl Iterator<Item = IpAddr> {
    let others = [node.link_local.map(IpAddr::from), node.management.map(IpAddr::from)];
    let routed = node.routed_v6.iter().copied().map(IpAddr::from);
    [IpAddr::from(node.address)].into_iter().chain(others.into_iter().flatten()).chain(routed)
}

fn networks(of: &Subject) -> Vec<ipnet::Ipv4Net> {
    let management = of.management.as_ref().and_then(|management| management.net);
    let nets = of.node_nets().into_iter().chain(of.pod_cidrs.iter().copied());
    nets.chain(of.service_cidr).chain(management).collect()
}

/// The links that an instance's nodes were given: the same ones for each node.
fn adapters(of: &Subject) -> Vec<look::Adapter<'_>> {
    let own = of.nodes.first().map(|node| look::Adapter { link: &node.link, net: Some(node.net) });
    let management = of.management.as_ref();
    let management =
        management.map(|management| look::Adapter { link: &management.node_link, net: management.net });
    own.into_iter().chain(management).collect()
}

/// The outcome of an answer, or why there is none.
fn outcome(answer: Option<&Answer>) -> Result<&probe::ProbeOutcome, String> {
    match answer.map(|answer| &answer.outcome) {
        None => Err("the prober returned no answer".to_owned()),
        Some(probe::ProbeOutcome::NotRun { why }) => Err(format!("the probe could not run: {why}")),
        Some(outcome) => Ok(outcome),
    }
}
