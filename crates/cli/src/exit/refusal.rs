//! The errors of the CLI itself, with the exit code and the hint of each.

use camino::Utf8PathBuf;
use provisioner::error::Hint;
use provisioner::exec::CommandError;
use provisioner::request::SpecError;
use provisioner::settings::EngineFamily;

use crate::words;

use super::{Ends, Exit};

/// Why a verb did not begin or could not finish, where the error is not one of a library.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("this command needs root: it changes the host's network, mounts or trust store")]
    NotRoot { command: String },
    #[error("this command needs root: it changes {path}")]
    NotWritable { path: Utf8PathBuf, command: String },
    #[error("DNS names of {} could not be recorded or removed", words::list(.instances))]
    Unrecorded { instances: Vec<String> },
    /// Without a source: the message has a line for each problem.
    #[error("an instance with these options cannot be created:{}", problems(.0))]
    Spec(SpecError),
    #[error("these options need `--engine vagrant`: {}", words::list(.asked))]
    NotVirtual { asked: Vec<String>, engine: Option<EngineFamily> },
    #[error("no instance '{name}'; {}", words::there_are(.known))]
    Unknown { name: String, known: Vec<String> },
    #[error("not everything of {} could be removed", words::list(.instances))]
    Left { instances: Vec<String> },
    #[error("listen for signals")]
    Signals(#[source] std::io::Error),
    #[error("leftovers of {} cannot be listed", words::list(.engines))]
    Blind { engines: Vec<String> },
    #[error("write the result to the standard output")]
    Unwritten(#[source] std::io::Error),
    #[error(
        "no kubectl for Kubernetes {kubernetes}: its node image is missing or cannot be read, and {}",
        installed(.found)
    )]
    NoKubectl { kubernetes: String, found: Option<String> },
    #[error("the archive of the image {image} is not built; an imported node image comes without it")]
    NotBuilt { image: &'static str },
    #[error("`-` means {stream}, which is a terminal: exported assets are binary")]
    Terminal { stream: &'static str },
    #[error("no verb and no topic '{words}'")]
    NoHelp { words: String },
    #[error("instance '{name}' has no kubeconfig: it is {state}")]
    NoKubeconfig { name: String, state: String },
    #[error(transparent)]
    Command(CommandError),
}

fn installed(kubectl: &Option<String>) -> String {
    match kubectl {
        Some(version) => format!("the kubectl on the PATH is {version}"),
        None => "the PATH has no kubectl".to_owned(),
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
                Some("add `--engine vagrant`, or set `engine: vagrant` in ~/.homelab/config.yaml".to_owned())
            }
            Self::NotVirtual { .. } => Some("use `--engine vagrant`, or leave these options out".to_owned()),
            Self::Unknown { known, .. } if known.is_empty() => {
                Some("`sudo homelab up NAME` creates one".to_owned())
            }
            Self::Unknown { .. } => Some("`homelab instance list` shows them".to_owned()),
            Self::Left { .. } => Some("`sudo homelab reap` tries again".to_owned()),
            Self::NoKubectl { kubernetes, .. } => Some(format!(
                "`sudo homelab assets build --kubernetes {kubernetes}`, or install a kubectl that is at most one minor \
                 version away"
            )),
            Self::NotBuilt { .. } => Some("`sudo homelab assets build` builds it".to_owned()),
            Self::Terminal { .. } => Some("give the name of a file, or use a pipe".to_owned()),
            Self::NoHelp { .. } => Some("`homelab help` lists the verbs and the topics".to_owned()),
            Self::NoKubeconfig { name, .. } => Some(format!("`sudo homelab status {name}` shows its state")),
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
            Self::Spec(_)
            | Self::NotVirtual { .. }
            | Self::Unknown { .. }
            | Self::NoHelp { .. }
            | Self::Terminal { .. } => Exit::Usage,
            Self::NotBuilt { .. }
            | Self::NotRoot { .. }
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
