//! Helpers that make the probes of several classes.

use std::net::{IpAddr, SocketAddr};

use probe::{Ask, Credentials};

use crate::audit::subject::{ClientCertificate, NodeSubject, Secret, Subject};
use crate::audit::viewpoint::{Stand, Viewpoint};

use super::{Asked, Depth, MissingPart, Proof, Question, Scene};

/// A payload, in bytes, that is below the MTU of every path.
pub(super) const SMALL: usize = 64;

impl<'a> Scene<'a> {
    /// The instance that the probe goes to. Where the host is the target, the source.
    pub(super) fn instance(&self) -> &'a Subject {
        match self.target {
            Asked::Instance(subject) => subject,
            Asked::Host => self.source,
        }
    }

    /// Whether this is a control at the source: the target is the source itself.
    pub(super) fn is_control(&self) -> bool {
        matches!(self.target, Asked::Instance(target) if target.name == self.source.name)
    }

    /// Whether this viewpoint asks every port, protocol and kind of frame.
    pub(super) fn is_thorough(&self) -> bool {
        self.depth == Depth::Everything
    }

    /// The node on which the prober runs as root; `None` for a pod and for the host.
    pub(super) fn sender(&self) -> Option<&'a NodeSubject> {
        match self.viewpoint {
            Viewpoint::Node { node, .. } => self.source.nodes.iter().find(|own| own.name == *node),
            Viewpoint::Pod { .. } | Viewpoint::Host => None,
        }
    }

    /// Whether the prober's node is sure to have a route to services. A node without a default route has none, unless the
    /// audit adds routes; pods have one always.
    pub(super) fn routes_to_services(&self) -> bool {
        self.viewpoint.stand() != Stand::Node
    }

    /// The nodes of the target without the prober's own node: a probe that never leaves its node proves nothing.
    pub(super) fn nodes(&self) -> impl Iterator<Item = &'a NodeSubject> {
        let here = match self.viewpoint {
            Viewpoint::Node { node, .. } => Some(node.as_str()),
            Viewpoint::Pod { .. } => Some(self.source.pod.node.as_str()),
            Viewpoint::Host => None,
        };
        self.instance().nodes.iter().filter(move |node| Some(node.name.as_str()) != here)
    }

    /// The addresses of [`Self::nodes`], or of the witness's pod where there is no other node.
    pub(super) fn nodes_or_pod(&self) -> Vec<IpAddr> {
        let nodes: Vec<IpAddr> = self.nodes().map(|node| node.address.into()).collect();
        if nodes.is_empty() { vec![self.instance().pod.address.into()] } else { nodes }
    }

    /// The addresses of [`Self::nodes`], and of the witness's pod.
    pub(super) fn everywhere(&self) -> Vec<IpAddr> {
        let pod = self.instance().pod.address.into();
        self.nodes().map(|node| node.address.into()).chain([pod]).collect()
    }
}

/// A probe whose nonce the target's witness can see.
pub(super) fn witnessed(protocol: &'static str, ask: Ask) -> Question {
    Question { protocol, ask, proof: Proof::Witnessed }
}

/// A probe that only an answer can prove.
pub(super) fn answered(protocol: &'static str, ask: Ask) -> Question {
    Question { protocol, ask, proof: Proof::Answer }
}

pub(super) fn tcp(to: IpAddr, port: u16) -> Ask {
    Ask::Tcp { to: SocketAddr::new(to, port) }
}

pub(super) fn udp(to: IpAddr, port: u16, size: usize) -> Ask {
    Ask::Udp { to: SocketAddr::new(to, port), size }
}

pub(super) fn ping(to: IpAddr) -> Ask {
    Ask::Ping { to, size: SMALL, dont_fragment: false }
}

/// A SYN to each port of some ranges; `None` for IPv6.
pub(super) fn syn(to: IpAddr, ports: &[(u16, u16)]) -> Option<Ask> {
    match to {
        IpAddr::V4(_) => Some(Ask::Syn { to, ports: ports.to_vec(), via: None, from: None }),
        IpAddr::V6(_) => None,
    }
}

/// A GET request over HTTPS. Any authority may vouch for the server.
pub(super) fn https(to: SocketAddr, name: &str, path: &str, credentials: Credentials) -> Ask {
    let (name, path) = (name.to_owned(), path.to_owned());
    Ask::Https { to, name, path, credentials, authority: None }
}

/// A client certificate as credentials.
pub(super) fn certificate(
    of: &Subject,
    shown: Option<&ClientCertificate>,
) -> Result<Credentials, MissingPart> {
    let shown = shown.ok_or_else(|| lack(of, "a client certificate to show"))?;
    Ok(Credentials::Certificate {
        certificate: shown.certificate.clone(),
        key: shown.key.reveal().to_owned(),
    })
}

/// A token as credentials.
pub(super) fn token(of: &Subject, shown: Option<&Secret>, what: &str) -> Result<Credentials, MissingPart> {
    let shown = shown.ok_or_else(|| lack(of, what))?;
    Ok(Credentials::Token { token: shown.reveal().to_owned() })
}

pub(super) fn lack(of: &Subject, what: &str) -> MissingPart {
    MissingPart(format!("'{}' has no {}", of.name, what.trim_start_matches("a ")))
}
