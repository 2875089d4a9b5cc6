//! The properties of an engine's nodes, as data, so that the modules after the engine need not know the engine. Pure.

use std::time::Duration;

use crate::exec::Command;
use crate::request::EngineKind;
use crate::slowdown::Slowdown;

/// The differences between the nodes of the engines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Platform {
    /// The node's link to the instance's network: `eth0` in a container, `eth1` in a VM.
    pub link: &'static str,
    /// The node's link to the hypervisor. `None` in containers.
    pub management_link: Option<&'static str>,
    /// The program that runs the node's services.
    pub supervisor: Supervisor,
    /// How many times longer than in a container everything takes.
    pub slowdown: Slowdown,
}

/// The program that runs a node's services. It also decides who makes the node's cgroups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Supervisor {
    /// runit, which does not use cgroups.
    Runit,
    /// systemd, which must be the only program that makes cgroups.
    Systemd,
}

impl Platform {
    /// The properties of an engine's nodes. `emulated` tells whether their processor is emulated; `None`, as in
    /// registry entries of earlier versions, means emulated for VMs and not emulated for containers.
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
                management_link: Some("eth0"), // a VM's first link is the one to the hypervisor
                supervisor: Supervisor::Systemd,
                slowdown,
            },
            false => Self { link: "eth0", management_link: None, supervisor: Supervisor::Runit, slowdown },
        }
    }

    /// The command that restarts a service on the node: `kubelet`.
    pub fn restart(&self, service: &str) -> Command {
        let program = match self.supervisor {
            Supervisor::Runit => "sv",
            Supervisor::Systemd => "systemctl",
        };
        Command::within(Duration::from_secs(30), program).args(["restart", service])
    }

    /// The command that polls on a node until the shell command `look` succeeds, at most `usual`, stretched. Polling
    /// takes CPU time from the processes that it waits for, so it polls every 0.1 s, but only every second on an
    /// emulated processor.
    pub fn until(&self, look: &str, usual: Duration) -> Command {
        let pause = if self.is_prompt() { "0.1" } else { "1" };
        let wait = format!("until {look}; do sleep {pause}; done");
        Command::within(usual, "sh").args(["-c", &wait])
    }

    /// The kubelet's `cgroupDriver`, which must be the same as containerd's.
    pub fn cgroup_driver(&self) -> &'static str {
        match self.supervisor {
            Supervisor::Runit => "cgroupfs",
            Supervisor::Systemd => "systemd",
        }
    }

    /// Whether a runnable process gets the processor within milliseconds: `false` on an emulated processor.
    pub fn is_prompt(&self) -> bool {
        self.slowdown < Slowdown::EMULATED
    }
}
