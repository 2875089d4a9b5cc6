//! [`DeclaredPath`]: a path that is open on purpose. The audit reports it as *expected*, and everything beyond it as a leak.

use std::fmt;
use std::net::SocketAddr;

use ipnet::IpNet;
use jiff::Timestamp;

/// A path that a cluster is meant to use, and who opened it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeclaredPath {
    /// The target: the name of an instance or of a context, or `host` for the host.
    pub target: String,
    /// The destination addresses.
    pub to: IpNet,
    /// The protocol.
    pub protocol: DeclaredProtocol,
    /// The first and the last port.
    pub ports: (u16, u16),
    /// The reason.
    pub reason: String,
    /// Who declared it: a person, or a command.
    pub by: String,
    /// When it was declared.
    pub at: Timestamp,
}

/// The protocol of a [`DeclaredPath`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeclaredProtocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl DeclaredPath {
    /// Whether packets of this protocol to this address and port are on the path.
    pub fn covers(&self, protocol: DeclaredProtocol, to: SocketAddr) -> bool {
        let (first, last) = self.ports;
        self.protocol == protocol && self.to.contains(&to.ip()) && (first..=last).contains(&to.port())
    }
}

impl fmt::Display for DeclaredPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = match self.protocol {
            DeclaredProtocol::Tcp => "TCP",
            DeclaredProtocol::Udp => "UDP",
        };
        let ports = match self.ports {
            (first, last) if first == last => first.to_string(),
            (first, last) => format!("{first} to {last}"),
        };
        let Self { to, by, at, reason, .. } = self;
        write!(f, "{protocol} {ports} of {to}, declared by {by} at {at}: {reason}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_covers_its_own_protocol_addresses_and_ports_and_no_other() {
        let path = DeclaredPath {
            target: "globex".to_owned(),
            to: "192.168.61.0/28".parse().unwrap(),
            protocol: DeclaredProtocol::Tcp,
            ports: (443, 445),
            reason: "a shared API".to_owned(),
            by: "anna".to_owned(),
            at: "2026-11-29T12:00:00Z".parse().unwrap(),
        };
        let covers = |protocol, to: &str| path.covers(protocol, to.parse().unwrap());
        assert!(covers(DeclaredProtocol::Tcp, "192.168.61.0:443"));
        assert!(covers(DeclaredProtocol::Tcp, "192.168.61.15:445"));
        for outside in ["192.168.61.10:442", "192.168.61.10:446", "192.168.61.16:443", "[fd00::1]:443"] {
            assert!(!covers(DeclaredProtocol::Tcp, outside), "{outside}");
        }
        assert!(!covers(DeclaredProtocol::Udp, "192.168.61.10:443"));
        let said =
            "TCP 443 to 445 of 192.168.61.0/28, declared by anna at 2026-11-29T12:00:00Z: a shared API";
        assert_eq!(path.to_string(), said);
    }
}
