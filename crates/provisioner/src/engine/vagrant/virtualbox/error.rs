//! Why VirtualBox cannot do what it is told, and what to do about it.

use std::io::ErrorKind;

use camino::Utf8PathBuf;
use ipnet::Ipv4Net;

use crate::error::Hint;
use crate::exec::{CommandError, Failure};
use crate::fabric::FabricError;

use super::super::networks_conf;

/// Why VirtualBox did not obey.
#[derive(Debug, thiserror::Error)]
pub enum VirtualBoxError {
    /// There is no VirtualBox.
    #[error("VBoxManage cannot be started")]
    Missing(#[source] CommandError),
    /// It is installed, and its kernel modules are not loaded.
    #[error("{attempt} {object}: VirtualBox's kernel modules are not loaded")]
    Modules {
        /// `start virtual machine`, `create` …
        attempt: &'static str,
        /// Which.
        object: String,
        /// What VBoxManage says.
        #[source]
        source: CommandError,
    },
    /// Somebody else is at it.
    #[error("{attempt} {object}: another process holds it")]
    Locked {
        /// `remove virtual machine` …
        attempt: &'static str,
        /// Which.
        object: String,
        /// What VBoxManage says.
        #[source]
        source: CommandError,
    },
    /// Anything else.
    #[error("{attempt} {object}")]
    Tool {
        /// `list`, `create` …
        attempt: &'static str,
        /// What.
        object: String,
        /// What VBoxManage says.
        #[source]
        source: CommandError,
    },
    /// It answers in an unknown form.
    #[error("read the answer on {what}: {answer}")]
    Answer {
        /// What was asked.
        what: String,
        /// What it was.
        answer: String,
    },
    /// The file with the allowed ranges.
    #[error("read {path}")]
    NetworksConf {
        /// Where it is.
        path: Utf8PathBuf,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// VirtualBox makes no host-only network there.
    #[error(
        "host-only network {network} is not within one of the ranges that VirtualBox allows on this host"
    )]
    Range {
        /// Where it should be.
        network: Ipv4Net,
        /// The lines that allow it, unless the file has them.
        lines: Vec<String>,
        /// What VBoxManage says, if it was asked.
        #[source]
        source: Option<CommandError>,
    },
    /// Vagrant would take somebody else's adapter for ours: it only compares networks.
    #[error(
        "host-only adapter {adapter} has {address}, in the network of instance '{instance}', and is not its own"
    )]
    ForeignAdapter {
        /// Its name.
        adapter: String,
        /// Its address.
        address: Ipv4Net,
        /// Whose network it is in.
        instance: String,
    },
    /// Somebody else's machine is plugged into our adapter.
    #[error(
        "virtual machine {machine} is on host-only adapter {adapter}, which is that of instance '{instance}' alone"
    )]
    ForeignPassenger {
        /// The machine.
        machine: String,
        /// The adapter.
        adapter: String,
        /// Whose adapter it is.
        instance: String,
    },
    /// A machine with a name of ours is where no machine of ours is.
    #[error("virtual machine {machine} is on {network}, where instance '{instance}' has put none")]
    ForeignMachine {
        /// The machine.
        machine: String,
        /// `host-only adapter vboxnet7`, `a bridge to eth0` …
        network: String,
        /// Whose name it has.
        instance: String,
    },
    /// A machine keeps its way out.
    #[error("virtual machine {machine} is still plugged into VirtualBox's NAT after it was unplugged")]
    Open {
        /// The machine.
        machine: String,
    },
    /// What the host opens on an adapter cannot be closed.
    #[error("guard host-only adapter {adapter}")]
    Guard {
        /// The adapter.
        adapter: String,
        /// Why.
        #[source]
        source: Box<FabricError>,
    },
}

impl VirtualBoxError {
    /// Sorts what VBoxManage says by what helps.
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

    /// Whether there is no such thing as was asked for.
    pub(super) fn is_not_found(&self) -> bool {
        matches!(self, Self::Tool { source, .. } if says(source, &["VBOX_E_OBJECT_NOT_FOUND"]))
    }
}

impl Hint for VirtualBoxError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Missing(_) => Some(format!("install VirtualBox 7.0: {}", super::preflight::DOWNLOADS)),
            Self::Modules { .. } => Some(super::preflight::LOAD.to_owned()),
            Self::Locked { .. } => {
                Some("close the window or end the command that has it, and try again".to_owned())
            }
            Self::Range { lines, .. } => Some(match lines.as_slice() {
                [] => {
                    format!("{} allows it; VirtualBox has to be able to read that file", networks_conf::PATH)
                }
                lines => add(lines),
            }),
            Self::ForeignAdapter { adapter, .. } => Some(format!(
                "`homelab reap` removes it if a killed command has left it, `VBoxManage hostonlyif remove {adapter}` \
                 if nobody needs it; `--subnet` chooses another network"
            )),
            Self::ForeignPassenger { machine, .. } => {
                Some(format!("power it off and give it another network: `VBoxManage modifyvm {machine} …`"))
            }
            Self::ForeignMachine { instance, .. } => Some(format!(
                "choose another name; if nobody needs that machine, `homelab down {instance}` removes all that carry \
                 this one"
            )),
            Self::Open { machine } => Some(format!(
                "`VBoxManage controlvm {machine} setlinkstate1 off` must hold before it is of use"
            )),
            Self::Guard { .. } | Self::Tool { .. } | Self::Answer { .. } | Self::NetworksConf { .. } => None,
        }
    }
}

/// What to do with lines that `networks.conf` lacks.
pub(super) fn add(lines: &[String]) -> String {
    format!("add to {}: `{}`", networks_conf::PATH, lines.join("` and `"))
}

/// Whether a command failed with one of these words.
pub(super) fn says(error: &CommandError, words: &[&str]) -> bool {
    let (Failure::Status { stdout, stderr, .. } | Failure::Deadline { stdout, stderr, .. }) = &error.failure
    else {
        return false;
    };
    words.iter().any(|word| stderr.contains(word) || stdout.contains(word))
}
