//! Changes the power of VMs, disconnects them from NAT, and removes them.
//!
//! Vagrant logs in to a VM through NAT: the VM's first network card, and a rule that forwards a port of the host to its
//! sshd. Vagrant connects NAT whenever it boots a VM. So it boots each VM only once, when the VM is made. Afterwards
//! the card is disconnected, the rule is removed, and VirtualBox itself changes the power. `VBoxManage controlvm` saves
//! both changes, so they also hold for the next boot (its source: VBoxManageControlVM.cpp sets `fNeedsSaving` for
//! both).
//!
//! The price: `vagrant ssh` does not work any more, because it uses that rule, and `vagrant up` after `vagrant halt`
//! connects NAT again until the VM is sealed. homelab logs in to the VM's address on the host-only network.

use std::time::{Duration, Instant};

use crate::plan::{ClusterPlan, NodePlan};

use super::super::super::EngineError;
use super::networks::guard;
use super::vms::{Description, ReportedState};
use super::{VirtualBox, VirtualBoxError};
use crate::plan::Power;

impl VirtualBox {
    /// Disconnects the VM of a node from NAT.
    pub(super) async fn seal_node(&self, plan: &ClusterPlan, node: &NodePlan) -> Result<(), EngineError> {
        let scope = plan.id.node_scope(&node.name);
        match self.describe(&scope).await? {
            Some(machine) => Ok(self.unplug(&machine).await?),
            None => Err(EngineError::Absent { node: node.name.clone() }),
        }
    }

    /// Disconnects a VM from NAT, first the network card and then the rules, and checks that it is disconnected.
    async fn unplug(&self, machine: &Description) -> Result<(), VirtualBoxError> {
        // VirtualBox refuses changes to a VM whose memory is on the disk; `start` disconnects it after it has resumed.
        if (!machine.cable && machine.forwards.is_empty()) || machine.state == ReportedState::Saved {
            return Ok(());
        }
        let name = machine.name.as_str();
        let tell = |told: Vec<String>| async move {
            self.tool.tell("disconnect virtual machine", name, told.iter().map(String::as_str)).await
        };
        for told in unplugging(machine) {
            tell(told).await?;
        }
        match self.describe(name).await? {
            Some(after) if after.cable || !after.forwards.is_empty() => {
                Err(VirtualBoxError::Open { machine: name.to_owned() })
            }
            _ => Ok(()),
        }
    }

    /// Pauses, resumes, halts or starts a VM. Does nothing if the VM is in that state already.
    pub(super) async fn obey(&self, name: &str, power: Power) -> Result<(), EngineError> {
        let Some(machine) = self.describe(name).await? else {
            return Err(EngineError::Absent { node: name.to_owned() });
        };
        match (power, machine.state) {
            (Power::Pause, ReportedState::Online) => self.control("pause", name, "pause").await?,
            (Power::Resume, ReportedState::Paused) => self.control("resume", name, "resume").await?,
            (Power::Resume, ReportedState::Saved) | (Power::Start, ReportedState::Off) => {
                self.start(&machine).await?
            }
            (Power::Halt, ReportedState::Online) => self.shut_down(name).await?,
            (Power::Halt, ReportedState::Stuck) => self.control("power off", name, "poweroff").await?,
            _ => {}
        }
        Ok(())
    }

    /// Starts a VM, or resumes it from the disk. Before the start, the guard watches its networks and the VM is
    /// disconnected from NAT; a VM whose memory is on the disk is disconnected right after the start.
    async fn start(&self, machine: &Description) -> Result<(), VirtualBoxError> {
        for network in machine.networks.iter().filter(|network| network.kind == "hostonly") {
            self.wires.watch(&network.name).await.map_err(guard(&network.name))?;
        }
        self.unplug(machine).await?;
        let name = machine.name.as_str();
        let told = ["startvm", name, "--type", "headless"];
        self.tool.tell_slowly("start virtual machine", name, told).await?;
        if machine.state == ReportedState::Saved
            && let Some(machine) = self.describe(name).await?
        {
            self.unplug(&machine).await?;
        }
        Ok(())
    }

    /// Presses the VM's ACPI power button, and powers the VM off if it still runs after the time-out.
    async fn shut_down(&self, name: &str) -> Result<(), VirtualBoxError> {
        self.control("shut down", name, "acpipowerbutton").await?;
        let asked = Instant::now();
        while self.describe(name).await?.is_some_and(|machine| machine.state.is_online()) {
            if asked.elapsed() >= self.timeouts.shut_down {
                return self.control("power off", name, "poweroff").await;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        Ok(())
    }

    async fn control(&self, attempt: &'static str, name: &str, verb: &str) -> Result<(), VirtualBoxError> {
        self.tool.tell(attempt, &format!("virtual machine {name}"), ["controlvm", name, verb]).await.map(drop)
    }

    /// Removes a VM with its disks. After power-off, the VM's process keeps its lock for a moment: the removal is
    /// repeated until the time-out.
    pub(super) async fn end(&self, name: &str) -> Result<(), VirtualBoxError> {
        let Some(machine) = self.describe(name).await? else { return Ok(()) };
        if machine.state.is_online() {
            self.control("power off", name, "poweroff").await?;
        }
        let asked = Instant::now();
        loop {
            let told = ["unregistervm", name, "--delete"];
            match self.tool.tell_slowly("remove virtual machine", name, told).await {
                Err(VirtualBoxError::Locked { .. }) if asked.elapsed() < self.timeouts.release => {
                    tokio::time::sleep(Duration::from_millis(500)).await;
                }
                Err(error) if error.is_not_found() => return Ok(()),
                told => return told.map(drop),
            }
        }
    }
}

/// The commands that disconnect a VM from NAT. A VM with a process is changed through the process, which has it locked.
/// Pure.
fn unplugging(machine: &Description) -> Vec<Vec<String>> {
    let told = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
    let (name, is_online) = (machine.name.as_str(), machine.state.is_online());
    let cable: Vec<String> = match is_online {
        true => told(&["controlvm", name, "setlinkstate1", "off"]),
        false => told(&["modifyvm", name, "--cable-connected1", "off"]),
    };
    let rule = |rule: &String| match is_online {
        true => told(&["controlvm", name, "natpf1", "delete", rule]),
        false => told(&["modifyvm", name, "--nat-pf1", "delete", rule]),
    };
    machine.cable.then_some(cable).into_iter().chain(machine.forwards.iter().map(rule)).collect()
}
