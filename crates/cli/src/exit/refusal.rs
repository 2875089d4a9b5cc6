//! What the CLI itself refuses, with the code and the hint of each refusal.

use camino::Utf8PathBuf;
use provisioner::error::Hint;
use provisioner::exec::CommandError;
use provisioner::settings::EngineFamily;
use provisioner::spec::SpecError;

use crate::words;

use super::{Ends, Exit};

/// Why a verb did not begin, or what it could not do, where no library says so.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("this needs root: it changes this host's network, mounts or trust store")]
    NotRoot { command: String },
    #[error("this needs root: it changes {path}")]
    NotWritable { path: Utf8PathBuf, command: String },
    #[error("{}: names could not be recorded or removed", words::list(.instances))]
    Unrecorded { instances: Vec<String> },
    /// Without a source: the message has a line for each problem.
    #[error("this cannot be made as asked:{}", problems(.0))]
    Spec(SpecError),
    #[error("containers have no such thing: {}", words::list(.asked))]
    NotVirtual { asked: Vec<String>, engine: Option<EngineFamily> },
    #[error("no instance '{name}'; {}", words::there_are(.known))]
    Unknown { name: String, known: Vec<String> },
    #[error("{}: not everything could be removed", words::list(.instances))]
    Left { instances: Vec<String> },
    #[error("listen for signals")]
    Signals(#[source] std::io::Error),
    #[error("{}: cannot be asked for leftovers", words::list(.engines))]
    Blind { engines: Vec<String> },
    #[error("write the result to the standard output")]
    Unwritten(#[source] std::io::Error),
    #[error(
        "no kubectl for Kubernetes {kubernetes}: the node image that has one is not there, and {}",
        installed(.found)
    )]
    NoKubectl { kubernetes: String, found: Option<String> },
    #[error("`-` means {stream}, which is a terminal here and no place for exported assets")]
    Terminal { stream: &'static str },
    #[error("'{name}' has no kubeconfig: it is {state}")]
    NoKubeconfig { name: String, state: String },
    #[error(transparent)]
    Command(CommandError),
}

fn installed(kubectl: &Option<String>) -> String {
    match kubectl {
        Some(version) => format!("the kubectl on the PATH is {version}"),
        None => "there is none on the PATH".to_owned(),
    }
}

fn problems(error: &SpecError) -> String {
    error.problems.iter().map(|problem| format!("\n{problem}")).collect()
}

impl Hint for Refusal {
    fn hint(&self) -> Option<String> {
        match self {
            Self::NotRoot { command } | Self::NotWritable { command, .. } => Some(format!("`{command}`")),
            Self::NotVirtual { engine: None, .. } => {
                Some("`--engine vagrant` makes virtual machines; config.yaml can say so for all".to_owned())
            }
            Self::NotVirtual { .. } => Some("`--engine vagrant` makes virtual machines".to_owned()),
            Self::Unknown { known, .. } if known.is_empty() => Some("`homelab up NAME` makes one".to_owned()),
            Self::Unknown { .. } => Some("`homelab instance list` shows them".to_owned()),
            Self::Left { .. } => Some("`homelab reap` tries again".to_owned()),
            Self::NoKubectl { kubernetes, .. } => Some(format!(
                "install a kubectl that is at most one minor version away, or `sudo homelab assets build --kubernetes \
                 {kubernetes}`"
            )),
            Self::Terminal { .. } => Some("name a file, or use a pipe".to_owned()),
            Self::NoKubeconfig { name, .. } => Some(format!("`homelab status {name}` says how far it is")),
            Self::Unrecorded { .. }
            | Self::Spec(_)
            | Self::Signals(_)
            | Self::Blind { .. }
            | Self::Unwritten(_)
            | Self::Command(_) => None,
        }
    }
}

impl Ends for Refusal {
    fn exit(&self) -> Exit {
        match self {
            Self::Spec(_) | Self::NotVirtual { .. } | Self::Unknown { .. } | Self::Terminal { .. } => {
                Exit::Usage
            }
            Self::NotRoot { .. }
            | Self::NotWritable { .. }
            | Self::Unrecorded { .. }
            | Self::Signals(_)
            | Self::NoKubectl { .. }
            | Self::Blind { .. }
            | Self::Unwritten(_)
            | Self::NoKubeconfig { .. }
            | Self::Command(_) => Exit::CouldNotRun,
            Self::Left { .. } => Exit::TeardownFailed,
        }
    }
}
