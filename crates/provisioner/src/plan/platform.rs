//! What an engine's nodes are like: data, so that nothing above an engine has to know which one it is. Pure.

use std::time::Duration;

use crate::exec::Command;
use crate::slowdown::Slowdown;
use crate::spec::EngineKind;

/// What differs between the nodes of one engine and of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Platform {
    /// Its link in the instance's network.
    pub link: &'static str,
    /// Its link to the hypervisor, by which it is managed.
    pub management_link: Option<&'static str>,
    /// Who runs its services.
    pub supervisor: Supervisor,
    /// How much longer than in a container everything takes.
    pub slowdown: Slowdown,
}

/// Who runs a node's services, and thereby also makes its cgroups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Supervisor {
    /// runit, which knows no cgroups.
    Runit,
    /// systemd, which wants all of them to itself.
    Systemd,
}

impl Platform {
    /// What an engine's nodes are like, whose processor is emulated or not. Where that was not recorded, as in entries of
    /// earlier versions, virtual machines count as emulated.
    pub fn of(engine: EngineKind, emulated: Option<bool>) -> Self {
        let is_virtual = engine.is_virtual();
        let slowdown = match (is_virtual, emulated.unwrap_or(is_virtual)) {
            (_, true) => Slowdown::EMULATED,
            (true, false) => Slowdown::VIRTUAL,
            (false, false) => Slowdown::NONE,
        };
        match is_virtual {
            true => Self {
                link: "eth1",
                management_link: Some("eth0"), // the first link is the hypervisor's own
                supervisor: Supervisor::Systemd,
                slowdown,
            },
            false => Self { link: "eth0", management_link: None, supervisor: Supervisor::Runit, slowdown },
        }
    }

    /// Starts one of the node's services anew.
    pub fn restart(&self, service: &str) -> Command {
        let program = match self.supervisor {
            Supervisor::Runit => "sv",
            Supervisor::Systemd => "systemctl",
        };
        Command::within(Duration::from_secs(30), program).args(["restart", service])
    }

    /// Waits in a node's shell until looking succeeds, as long as that may take here. Looking takes the processor from
    /// what is waited for, so where it is emulated it is done each second and not ten times as often.
    pub fn until(&self, look: &str, usual: Duration) -> Command {
        let pause = if self.is_prompt() { "0.1" } else { "1" };
        let wait = format!("until {look}; do sleep {pause}; done");
        Command::within(usual, "sh").args(["-c", &wait])
    }

    /// The kubelet's `cgroupDriver`: it and containerd have to make cgroups in the same way.
    pub fn cgroup_driver(&self) -> &'static str {
        match self.supervisor {
            Supervisor::Runit => "cgroupfs",
            Supervisor::Systemd => "systemd",
        }
    }

    /// Whether a process gets the processor within milliseconds when it wants to have it: not where the processor is
    /// emulated.
    pub fn is_prompt(&self) -> bool {
        self.slowdown < Slowdown::EMULATED
    }
}
