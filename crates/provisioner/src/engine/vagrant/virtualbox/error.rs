//! The errors of VirtualBox, with their hints.

use std::io::ErrorKind;

use camino::Utf8PathBuf;
use ipnet::Ipv4Net;

use crate::error::Hint;
use crate::exec::{CommandError, Failure};
use crate::fabric::FabricError;

use super::super::networks_conf;

/// Why VirtualBox could not be used.
#[derive(Debug, thiserror::Error)]
pub enum VirtualBoxError {
    /// VirtualBox is not installed.
    #[error("VBoxManage cannot be started")]
    Missing(#[source] CommandError),
    /// VirtualBox is installed, but its kernel modules are not loaded.
    #[error("{attempt} {object}: VirtualBox's kernel modules are not loaded")]
    Modules {
        /// The attempt: `start virtual machine`, `create` …
        attempt: &'static str,
        /// The name of its object.
        object: String,
        /// The error of VBoxManage.
        #[source]
        source: CommandError,
    },
    /// Another process has locked the VM.
    #[error("{attempt} {object}: another process holds its lock")]
    Locked {
        /// The attempt: `remove virtual machine` …
        attempt: &'static str,
        /// The name of its object.
        object: String,
        /// The error of VBoxManage.
        #[source]
        source: CommandError,
    },
    /// VBoxManage failed for any other reason.
    #[error("{attempt} {object}")]
    Tool {
        /// The attempt: `list`, `create` …
        attempt: &'static str,
        /// The name of its object.
        object: String,
        /// The error of VBoxManage.
        #[source]
        source: CommandError,
    },
    /// VBoxManage answered in an unknown form.
    #[error("read {what}: unexpected answer: {answer}")]
    Answer {
        /// The figure or name that was asked for: `the state of virtual machine homelab-8fc76b.acme.acme-cp-1`.
        what: String,
        /// The answer, or the part of it that matters.
        answer: String,
    },
    /// The file with the allowed ranges cannot be read.
    #[error("read {path}")]
    NetworksConf {
        /// The path of the file.
        path: Utf8PathBuf,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// VirtualBox does not allow a host-only network with these addresses.
    #[error(
        "host-only network {network} is not within one of the ranges that VirtualBox allows on this host"
    )]
    Range {
        /// The network that was to be made.
        network: Ipv4Net,
        /// The lines to add to `networks.conf`; empty if the file allows the network already.
        lines: Vec<String>,
        /// The error of VBoxManage; `None` if VBoxManage was not run, because the file does not allow the network.
        #[source]
        source: Option<CommandError>,
    },
    /// An adapter that is not the instance's has an address in its network. Vagrant would use it: Vagrant compares
    /// networks only.
    #[error(
        "host-only adapter {adapter} has address {address} in the network of instance '{instance}', but does not belong \
         to it"
    )]
    ForeignAdapter {
        /// The adapter's name.
        adapter: String,
        /// The adapter's address.
        address: Ipv4Net,
        /// The instance's name.
        instance: String,
    },
    /// A VM that is not the instance's is attached to the instance's adapter.
    #[error(
        "virtual machine {machine} is on host-only adapter {adapter}, which belongs to instance '{instance}' alone"
    )]
    ForeignPassenger {
        /// The VM's name.
        machine: String,
        /// The adapter's name.
        adapter: String,
        /// The instance's name.
        instance: String,
    },
    /// A VM with a name of the instance is on a network that is not the instance's, so the instance did not make it.
    #[error("virtual machine {machine} is on {network}, which is not the network of instance '{instance}'")]
    ForeignMachine {
        /// The VM's name.
        machine: String,
        /// The kind and name of the network: `host-only adapter vboxnet7`, `a bridge to eth0` …
        network: String,
        /// The instance's name.
        instance: String,
    },
    /// A VM is still attached to NAT, its way out.
    #[error("virtual machine {machine} is still connected to VirtualBox's NAT after it was disconnected")]
    Open {
        /// The VM's name.
        machine: String,
    },
    /// The host guard could not be set or changed for an adapter.
    #[error("guard host-only adapters ({adapter})")]
    Guard {
        /// The adapter's name, or `all of this host`.
        adapter: String,
        /// The error of the fabric.
        #[source]
        source: Box<FabricError>,
    },
}

impl VirtualBoxError {
    /// The variant for a failed command of VBoxManage, by its output.
    pub(super) fn of(attempt: &'static str, object: &str, source: CommandError) -> Self {
        let object = object.to_owned();
        match &source.failure {
            Failure::Start(error) if error.kind() == ErrorKind::NotFound => Self::Missing(source),
            _ if says(&source, &["/dev/vboxnetctl", "/dev/vboxdrv", "VERR_VM_DRIVER_NOT_INSTALLED"]) => {
                Self::Modules { attempt, object, source }
            }
            _ if says(&source, &["VBOX_E_INVALID_OBJECT_STATE"]) => Self::Locked { attempt, object, source },
            _ => Self::Tool { attempt, object, source },
        }
    }

    /// Whether the object of the command does not exist.
    pub(super) fn is_not_found(&self) -> bool {
        matches!(self, Self::Tool { source, .. } if says(source, &["VBOX_E_OBJECT_NOT_FOUND"]))
    }
}

impl Hint for VirtualBoxError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Missing(_) => Some(format!("install VirtualBox 7.0: {}", super::preflight::DOWNLOADS)),
            Self::Modules { .. } => Some(super::preflight::LOAD.to_owned()),
            Self::Locked { .. } => Some(
                "close the virtual machine's window or end the command that uses it, and try again"
                    .to_owned(),
            ),
            Self::Range { lines, .. } => Some(match lines.as_slice() {
                [] => {
                    format!("{} allows it: make that file readable for VirtualBox", networks_conf::PATH)
                }
                lines => add(lines),
            }),
            Self::ForeignAdapter { adapter, .. } => Some(format!(
                "`sudo homelab reap` removes it if a killed command left it; `VBoxManage hostonlyif remove {adapter}` \
                 removes it if it is not needed; `--subnet` chooses another network"
            )),
            Self::ForeignPassenger { machine, .. } => {
                Some(format!("power it off and give it another network: `VBoxManage modifyvm {machine} …`"))
            }
            Self::ForeignMachine { instance, .. } => Some(format!(
                "choose another name; or, if that virtual machine is not needed, `sudo homelab down {instance}` removes all \
                 virtual machines with this instance's names"
            )),
            Self::Open { machine } => Some(format!(
                "disconnect it with `VBoxManage controlvm {machine} setlinkstate1 off`, and try again"
            )),
            Self::Guard { .. } | Self::Tool { .. } | Self::Answer { .. } | Self::NetworksConf { .. } => None,
        }
    }
}

/// The remedy for lines that are missing in `networks.conf`.
pub(super) fn add(lines: &[String]) -> String {
    format!("add to {}: `{}`", networks_conf::PATH, lines.join("` and `"))
}

/// Whether a command failed and its output contains one of these words.
pub(super) fn says(error: &CommandError, words: &[&str]) -> bool {
    let (Failure::Status { stdout, stderr, .. } | Failure::Deadline { stdout, stderr, .. }) = &error.failure
    else {
        return false;
    };
    words.iter().any(|word| stderr.contains(word) || stdout.contains(word))
}
