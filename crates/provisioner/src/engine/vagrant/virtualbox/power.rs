//! Power, the way out that Vagrant opens, and the end of a machine.
//!
//! Vagrant comes to a machine by NAT: adapter 1, and a rule that leads a port of the workstation to the machine's sshd. It
//! plugs NAT in whenever it boots a machine itself. So it boots one only once, when the machine is made; afterwards the
//! cable is out, the rule is gone, and power is VirtualBox's own business. `VBoxManage controlvm` saves what it changes,
//! so it holds for the next boot as well (its source: VBoxManageControlVM.cpp sets `fNeedsSaving` for both).
//!
//! What that costs: `vagrant ssh`, which asks for that rule, finds no way any more, and `vagrant up` after `vagrant halt`
//! opens the machine again until it is sealed. Logins go to the machine's own address on the host-only network.

use std::time::{Duration, Instant};

use crate::plan::{ClusterPlan, NodePlan};

use super::super::super::EngineError;
use super::machines::{Description, State};
use super::networks::guard;
use super::{VirtualBox, VirtualBoxError};
use crate::plan::Power;

impl VirtualBox {
    /// Closes the way out of one node's machine.
    pub(super) async fn seal_node(&self, plan: &ClusterPlan, node: &NodePlan) -> Result<(), EngineError> {
        let scope = plan.id.node_scope(&node.name);
        match self.describe(&scope).await? {
            Some(machine) => Ok(self.unplug(&machine).await?),
            None => Err(EngineError::Absent { node: node.name.clone() }),
        }
    }

    /// Takes a machine off NAT, first the cable, and looks whether it is off.
    async fn unplug(&self, machine: &Description) -> Result<(), VirtualBoxError> {
        // A machine whose memory is on the disk takes no changes; it is unplugged when it comes back.
        if (!machine.cable && machine.forwards.is_empty()) || machine.state == State::Saved {
            return Ok(());
        }
        let name = machine.name.as_str();
        let tell = |told: Vec<String>| async move {
            self.tool.tell("unplug virtual machine", name, told.iter().map(String::as_str)).await
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

    /// Has a machine do what it is told; nothing where it does so already.
    pub(super) async fn obey(&self, name: &str, power: Power) -> Result<(), EngineError> {
        let Some(machine) = self.describe(name).await? else {
            return Err(EngineError::Absent { node: name.to_owned() });
        };
        match (power, machine.state) {
            (Power::Pause, State::Online) => self.control("pause", name, "pause").await?,
            (Power::Resume, State::Paused) => self.control("resume", name, "resume").await?,
            (Power::Resume, State::Saved) | (Power::Start, State::Off) => self.start(&machine).await?,
            (Power::Halt, State::Online) => self.shut_down(name).await?,
            (Power::Halt, State::Stuck) => self.control("power off", name, "poweroff").await?,
            _ => {}
        }
        Ok(())
    }

    /// Gives a machine power, on guarded networks and without a way out.
    async fn start(&self, machine: &Description) -> Result<(), VirtualBoxError> {
        for network in machine.networks.iter().filter(|network| network.kind == "hostonly") {
            self.wires.watch(&network.name).await.map_err(guard(&network.name))?;
        }
        self.unplug(machine).await?;
        let name = machine.name.as_str();
        let told = ["startvm", name, "--type", "headless"];
        self.tool.tell_slowly("start virtual machine", name, told).await?;
        if machine.state == State::Saved
            && let Some(machine) = self.describe(name).await?
        {
            self.unplug(&machine).await?;
        }
        Ok(())
    }

    /// Presses the button; a machine that does not shut down loses its power.
    async fn shut_down(&self, name: &str) -> Result<(), VirtualBoxError> {
        self.control("shut down", name, "acpipowerbutton").await?;
        let asked = Instant::now();
        while self.describe(name).await?.is_some_and(|machine| machine.state.is_online()) {
            if asked.elapsed() >= self.patience.shut_down {
                return self.control("power off", name, "poweroff").await;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        Ok(())
    }

    async fn control(&self, attempt: &'static str, name: &str, verb: &str) -> Result<(), VirtualBoxError> {
        self.tool.tell(attempt, &format!("virtual machine {name}"), ["controlvm", name, verb]).await.map(drop)
    }

    /// Takes a machine away with its disks. Its process needs a moment to let go of it.
    pub(super) async fn end(&self, name: &str) -> Result<(), VirtualBoxError> {
        let Some(machine) = self.describe(name).await? else { return Ok(()) };
        if machine.state.is_online() {
            self.control("power off", name, "poweroff").await?;
        }
        let asked = Instant::now();
        loop {
            let told = ["unregistervm", name, "--delete"];
            match self.tool.tell_slowly("remove virtual machine", name, told).await {
                Err(VirtualBoxError::Locked { .. }) if asked.elapsed() < self.patience.release => {
                    tokio::time::sleep(Duration::from_millis(500)).await;
                }
                Err(error) if error.is_not_found() => return Ok(()),
                told => return told.map(drop),
            }
        }
    }
}

/// What takes a machine off NAT: a running one is told by its process, as nobody else may change it. Pure.
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
