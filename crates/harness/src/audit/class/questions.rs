//! What the questions of several classes have in common.

use std::net::{IpAddr, SocketAddr};

use probe::{Ask, Credentials};

use crate::audit::subject::{ClientCertificate, NodeSubject, Secret, Subject};
use crate::audit::viewpoint::Viewpoint;

use super::{Asked, Lack, Proof, Question, Scene};

/// The payload of a datagram that fits everywhere.
pub(super) const SMALL: usize = 64;

impl<'a> Scene<'a> {
    /// The instance that is asked: the source itself where the workstation is the target, for the control.
    pub(super) fn instance(&self) -> &'a Subject {
        match self.target {
            Asked::Instance(subject) => subject,
            Asked::Workstation => self.source,
        }
    }

    /// Whether this is a control: asked of its own instance.
    pub(super) fn is_control(&self) -> bool {
        matches!(self.target, Asked::Instance(target) if target.name == self.source.name)
    }

    /// The nodes of the asked instance, without the one that asks: what never leaves a node proves nothing.
    pub(super) fn nodes(&self) -> impl Iterator<Item = &'a NodeSubject> {
        let here = match self.viewpoint {
            Viewpoint::Node { node, .. } => Some(node.as_str()),
            Viewpoint::Pod { .. } => Some(self.source.pod.node.as_str()),
            Viewpoint::Workstation => None,
        };
        self.instance().nodes.iter().filter(move |node| Some(node.name.as_str()) != here)
    }

    /// Their addresses, or the witness's pod where there is no other node.
    pub(super) fn machines(&self) -> Vec<IpAddr> {
        let nodes: Vec<IpAddr> = self.nodes().map(|node| node.address.into()).collect();
        if nodes.is_empty() { vec![self.instance().pod.address.into()] } else { nodes }
    }

    /// Their addresses, and that of the witness's pod.
    pub(super) fn everywhere(&self) -> Vec<IpAddr> {
        let pod = self.instance().pod.address.into();
        self.nodes().map(|node| node.address.into()).chain([pod]).collect()
    }
}

/// A question that the witness of the target sees.
pub(super) fn witnessed(protocol: &'static str, ask: Ask) -> Question {
    Question { protocol, ask, proof: Proof::Witnessed }
}

/// A question that only an answer tells about.
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

/// A SYN to each port of some ranges; nothing for IPv6.
pub(super) fn syn(to: IpAddr, ports: &[(u16, u16)]) -> Option<Ask> {
    match to {
        IpAddr::V4(to) => Some(Ask::Syn { to, ports: ports.to_vec() }),
        IpAddr::V6(_) => None,
    }
}

/// GET over HTTPS at a node.
pub(super) fn https(to: (IpAddr, u16), name: &str, path: &str, credentials: Credentials) -> Ask {
    let (name, path) = (name.to_owned(), path.to_owned());
    Ask::Https { to: SocketAddr::from(to), name, path, credentials, authority: None }
}

/// A certificate, as it is shown.
pub(super) fn certificate(of: &Subject, shown: Option<&ClientCertificate>) -> Result<Credentials, Lack> {
    let shown = shown.ok_or_else(|| lack(of, "a client certificate to show"))?;
    Ok(Credentials::Certificate {
        certificate: shown.certificate.clone(),
        key: shown.key.reveal().to_owned(),
    })
}

/// A token, as it is shown.
pub(super) fn token(of: &Subject, shown: Option<&Secret>, what: &str) -> Result<Credentials, Lack> {
    let shown = shown.ok_or_else(|| lack(of, what))?;
    Ok(Credentials::Token { token: shown.reveal().to_owned() })
}

pub(super) fn lack(of: &Subject, what: &str) -> Lack {
    Lack(format!("'{}' has no {}", of.name, what.trim_start_matches("a ")))
}
