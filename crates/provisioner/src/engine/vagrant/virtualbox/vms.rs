//! VMs and disks, read from VBoxManage's answers. Pure.

use std::fmt;

use camino::Utf8Path;

use super::super::hypervisor::VmState;
use super::VirtualBoxError;

/// The names in the answer of `VBoxManage list vms`, which has lines `"name" {uuid}`. Other lines are warnings.
pub(super) fn names(answer: &str) -> Vec<String> {
    let quoted = answer.lines().filter_map(|line| line.strip_prefix('"')?.rsplit_once("\" {"));
    quoted.map(|(name, _)| name.to_owned()).collect()
}

/// A VM, as `VBoxManage showvminfo --machinereadable` describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Description {
    pub(super) name: String,
    pub(super) state: ReportedState,
    /// Whether its first network card, the one on NAT, is connected.
    pub(super) cable: bool,
    /// The names of the NAT rules that forward ports of the host to the VM.
    pub(super) forwards: Vec<String>,
    /// The networks of the VM, without NAT on its first card.
    pub(super) networks: Vec<Network>,
}

/// A network that a VM is attached to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Network {
    /// `hostonly`, `bridged`, `intnet` …
    pub(super) kind: String,
    /// The network's name; for a host-only network, the adapter's name.
    pub(super) name: String,
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind.as_str() {
            "hostonly" => "host-only adapter",
            "bridged" => "a bridge to",
            "intnet" => "internal network",
            "natnetwork" => "NAT network",
            "nat" => "NAT by a further adapter",
            other => other,
        };
        f.write_str(format!("{kind} {}", self.name).trim_end())
    }
}

/// The state of a VM, with the differences that matter here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReportedState {
    /// It runs, or is being started or stopped.
    Online,
    /// It is stopped and keeps its memory in RAM.
    Paused,
    /// It stopped by a fatal error ("guru meditation"), and can only be powered off.
    Stuck,
    /// It is stopped, and its memory is saved on the disk.
    Saved,
    /// It is off: it was shut down, or its process was killed.
    Off,
}

impl ReportedState {
    /// The state for a word of showvminfo, which are the states of VirtualBox's Main API; `None` if it is unknown.
    fn of(word: &str) -> Option<Self> {
        Some(match word {
            "running"
            | "starting"
            | "stopping"
            | "saving"
            | "restoring"
            | "livesnapshotting"
            | "teleporting"
            | "teleportingin"
            | "onlinesnapshotting"
            | "deletingsnapshotlive" => Self::Online,
            "paused" | "teleportingpausedvm" | "deletingsnapshotlivepaused" => Self::Paused,
            "gurumeditation" => Self::Stuck,
            "saved" | "aborted-saved" => Self::Saved,
            "poweroff" | "aborted" | "teleported" | "settingup" | "snapshotting" | "restoringsnapshot"
            | "deletingsnapshot" => Self::Off,
            _ => return None,
        })
    }

    /// The state as all hypervisors tell it.
    pub(super) fn known(self) -> VmState {
        match self {
            Self::Online => VmState::Running,
            Self::Paused | Self::Stuck | Self::Saved => VmState::Paused,
            Self::Off => VmState::Off,
        }
    }

    /// Whether the VM has a process. Then this process takes commands for the VM (`VBoxManage controlvm`).
    pub(super) fn is_online(self) -> bool {
        matches!(self, Self::Online | Self::Paused | Self::Stuck)
    }
}

impl Description {
    pub(super) fn read(machine: &str, answer: &str) -> Result<Self, VirtualBoxError> {
        let unknown = || VirtualBoxError::Answer {
            what: format!("the state of virtual machine {machine}"),
            answer: answer.lines().find(|line| line.starts_with("VMState=")).unwrap_or("no state").to_owned(),
        };
        let fields: Vec<(&str, &str)> = answer.lines().filter_map(field).collect();
        let value = |key: &str| fields.iter().find(|(name, _)| *name == key).map(|(_, value)| *value);
        let state = value("VMState").and_then(ReportedState::of).ok_or_else(unknown)?;
        let network = |(key, kind): &(&str, &str)| {
            let slot = key.strip_prefix("nic").filter(|slot| slot.parse::<u8>().is_ok())?;
            let name = match *kind {
                "none" | "null" => return None,
                "nat" if slot == "1" => return None,
                "hostonly" => value(&format!("hostonlyadapter{slot}")),
                "bridged" => value(&format!("bridgeadapter{slot}")),
                "intnet" => value(&format!("intnet{slot}")),
                "natnetwork" => value(&format!("nat-network{slot}")),
                _ => None,
            };
            Some(Network { kind: (*kind).to_owned(), name: name.unwrap_or_default().to_owned() })
        };
        let forward = |(key, rule): &(&str, &str)| {
            key.starts_with("Forwarding(").then(|| rule.split(',').next().unwrap_or_default().to_owned())
        };
        Ok(Self {
            name: machine.to_owned(),
            state,
            cable: value("nic1") != Some("none") && value("cableconnected1") != Some("off"),
            forwards: fields.iter().filter_map(forward).collect(),
            networks: fields.iter().filter_map(network).collect(),
        })
    }
}

/// `key="value"` or `key=value`.
fn field(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.trim_end().split_once('=')?;
    Some((key.trim_matches('"'), value.trim_matches('"')))
}

/// A disk, as `VBoxManage list hdds` describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Disk {
    pub(super) uuid: String,
    /// The UUID of the disk that this one only keeps the differences to; another word if it has no parent.
    pub(super) parent: String,
    pub(super) location: String,
}

impl Disk {
    /// The first folder in its path whose name begins with this prefix. The folder of a VM has the name of the VM.
    pub(super) fn folder<'a>(&'a self, prefix: &str) -> Option<&'a str> {
        let mut folders = Utf8Path::new(&self.location).components().map(|part| part.as_str());
        folders.find(|folder| folder.starts_with(prefix))
    }
}

/// All disks in the answer of `VBoxManage list hdds`, each before its parent: VirtualBox refuses to remove a disk while
/// another disk has differences to it.
pub(super) fn disks(answer: &str) -> Vec<Disk> {
    let mut disks: Vec<Disk> = Vec::new();
    for line in answer.lines() {
        let Some((key, value)) = line.split_once(':') else { continue };
        let value = value.trim().to_owned();
        match (key, disks.last_mut()) {
            ("UUID", _) => disks.push(Disk { uuid: value, parent: String::new(), location: String::new() }),
            ("Parent UUID", Some(disk)) => disk.parent = value,
            ("Location", Some(disk)) => disk.location = value,
            _ => {}
        }
    }
    let mut sorted = Vec::new();
    while !disks.is_empty() {
        let parents: Vec<String> = disks.iter().map(|disk| disk.parent.clone()).collect();
        let (leaves, others): (Vec<Disk>, Vec<Disk>) =
            disks.into_iter().partition(|disk| !parents.contains(&disk.uuid));
        if leaves.is_empty() {
            // The answer has a circle of parents, which cannot exist: keep its order.
            sorted.extend(others);
            break;
        }
        sorted.extend(leaves);
        disks = others;
    }
    sorted
}
