//! The capabilities for containers on a node. A node may not have all capabilities that Cilium's chart requests, and a
//! container runtime that cannot grant one of them does not start the container ("unable to apply caps").

use rustix::thread::CapabilitySet as Set;

/// The capabilities that the chart requests for the agent, in the chart's order (`securityContext.capabilities` in its
/// values.yaml).
const AGENT: [(&str, Set); 13] = [
    ("CHOWN", Set::CHOWN),
    ("KILL", Set::KILL),
    ("NET_ADMIN", Set::NET_ADMIN),
    ("NET_RAW", Set::NET_RAW),
    ("IPC_LOCK", Set::IPC_LOCK),
    ("SYS_MODULE", Set::SYS_MODULE),
    ("SYS_ADMIN", Set::SYS_ADMIN),
    ("SYS_RESOURCE", Set::SYS_RESOURCE),
    ("DAC_OVERRIDE", Set::DAC_OVERRIDE),
    ("FOWNER", Set::FOWNER),
    ("SETGID", Set::SETGID),
    ("SETUID", Set::SETUID),
    ("SYSLOG", Set::SYSLOG),
];

/// The capabilities that a node can grant to containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Capabilities(Set);

impl Capabilities {
    /// All capabilities.
    #[cfg(test)]
    pub(super) const ALL: Self = Self(Set::all());

    /// Parses the bounding set in a process's `/proc/<pid>/status` (`CapBnd`, proc_pid_status(5)). `None` if it is
    /// missing.
    pub(super) fn in_status(status: &str) -> Option<Self> {
        let hex = status.lines().find_map(|line| line.strip_prefix("CapBnd:"))?;
        let bits = u64::from_str_radix(hex.trim(), 16).ok()?;
        Some(Self(Set::from_bits_retain(bits)))
    }

    /// The names of the capabilities that the agent gets: those of [`AGENT`] that the node has.
    pub(super) fn of_agent(&self) -> Vec<&'static str> {
        let given = AGENT.into_iter().filter(|(_, one)| self.0.contains(*one));
        given.map(|(name, _)| name).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_agent_gets_only_capabilities_that_its_node_has() {
        let whole = Capabilities::in_status("Name:\tx\nCapBnd:\t000001ffffffffff\n").unwrap();
        let lacks_resource = Capabilities::in_status("CapBnd:\t000001fffeffffff\n").unwrap();
        let all = whole.of_agent();
        let rest: Vec<_> = all.iter().copied().filter(|name| *name != "SYS_RESOURCE").collect();
        assert_eq!((all.len(), rest.len()), (AGENT.len(), AGENT.len() - 1));
        assert_eq!(lacks_resource.of_agent(), rest);
        assert_eq!(Capabilities::in_status("Name:\tx\n"), None);
    }
}
