//! The parts of a subject that an audit can use. A class says which parts it needs.

use std::collections::BTreeMap;

/// A part of a subject that an audit can use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// Links between its nodes that no other subject uses.
    Links,
    /// Nodes of its own, on which the audit runs as root.
    Nodes,
    /// The files of its nodes and the commands on them.
    Files,
    /// A pod network of its own.
    Pods,
    /// An API server of its own.
    ApiServer,
    /// etcd and kubelets of its own.
    Backends,
    /// Credentials and certificate authorities that the audit knows.
    Credentials,
    /// A record of how it was made: its networks, its addresses, its identity.
    Record,
    /// The host of its nodes, on which the audit runs as root.
    Host,
}

impl Part {
    /// All parts.
    pub const ALL: [Self; 9] = [
        Self::Links,
        Self::Nodes,
        Self::Files,
        Self::Pods,
        Self::ApiServer,
        Self::Backends,
        Self::Credentials,
        Self::Record,
        Self::Host,
    ];

    /// What the audit lacks without this part: `no links of its own`.
    fn lacking(self) -> &'static str {
        match self {
            Self::Links => "no links of its own",
            Self::Nodes => "no node on which the audit runs as root",
            Self::Files => "no node whose files the audit can read",
            Self::Pods => "no pod network of its own",
            Self::ApiServer => "no API server of its own",
            Self::Backends => "no etcd and no kubelets of its own",
            Self::Credentials => "no credentials that the audit knows",
            Self::Record => "no record of how it was made",
            Self::Host => "no host on which the audit runs as root",
        }
    }
}

/// The parts that a subject lacks, each with the reason. By default it lacks none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Parts {
    missing: BTreeMap<Part, String>,
}

impl Parts {
    /// A subject without any part, for one reason.
    pub fn none(why: &str) -> Self {
        Part::ALL.into_iter().fold(Self::default(), |parts, part| parts.without(part, why))
    }

    /// The parts of a cluster that is known by its kubeconfig only: those that an API server and pods give access to.
    pub fn by_kubeconfig() -> Self {
        let unknown = [Part::Files, Part::Backends, Part::Record, Part::Host];
        let why = "only its kubeconfig is known";
        unknown.into_iter().fold(Self::default(), |parts, part| parts.without(part, why))
    }

    /// These parts without one more: `why` is the reason, as a sentence without a full stop.
    #[must_use]
    pub fn without(mut self, part: Part, why: &str) -> Self {
        self.missing.insert(part, why.to_owned());
        self
    }

    /// The first of these parts that is missing, as a sentence about the subject `name`; `None` where it has all.
    pub fn lacks(&self, needs: &[Part], name: &str) -> Option<String> {
        let missing = needs.iter().find_map(|part| Some((part, self.missing.get(part)?)));
        missing.map(|(part, why)| format!("'{name}' has {}: {why}", part.lacking()))
    }
}

/// The kernel on which a subject's nodes run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kernel {
    /// The host's kernel, which runs the nodes of other subjects as well.
    OfHost,
    /// A kernel of its own for each node.
    Own,
    /// Unknown: the audit has no record of how the nodes were made.
    Unknown,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_missing_part_is_reported_with_its_reason() {
        let foreign = Parts::default().without(Part::Host, "its host is unknown");
        assert_eq!(foreign.lacks(&[Part::Nodes, Part::Pods], "acme"), None);
        let why = foreign.lacks(&[Part::Nodes, Part::Host], "acme");
        let expected = "'acme' has no host on which the audit runs as root: its host is unknown";
        assert_eq!(why.as_deref(), Some(expected));
        let none = Parts::none("it is simulated");
        assert!(Part::ALL.iter().all(|part| none.lacks(&[*part], "acme").is_some()));
    }
}
