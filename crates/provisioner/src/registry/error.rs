//! Why the ledger cannot be read or changed, and what to do about it.

use camino::Utf8PathBuf;

use crate::error::Hint;
use crate::files::FileError;
use crate::home::HomeError;

use super::ledger::VERSION;

/// Why the ledger cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// A file or folder.
    #[error(transparent)]
    File(#[from] FileError),
    /// The file is torn, or something else altogether.
    #[error("{path} is no registry, or a damaged one; it is left as it is")]
    Damaged {
        /// The ledger.
        path: Utf8PathBuf,
        /// Where it stops to make sense.
        #[source]
        source: serde_json::Error,
    },
    /// A newer version of us wrote it.
    #[error("{path} has format {version}, and this version of homelab knows formats up to {VERSION}")]
    Newer {
        /// The ledger.
        path: Utf8PathBuf,
        /// Its format.
        version: u32,
    },
    /// Some entries make no sense, and this step depends on them.
    #[error("{path} has broken entries: {}", .entries.join("; "))]
    Broken {
        /// The ledger.
        path: Utf8PathBuf,
        /// Each of them, with what is wrong.
        entries: Vec<String>,
    },
    /// There is no such instance.
    #[error("no instance '{name}'")]
    Unknown {
        /// The name.
        name: String,
    },
    /// Another instance has this name: whoever decided did not look.
    #[error("name {name} already in use by instance '{name}'")]
    Taken {
        /// The name.
        name: String,
    },
    /// The home's id.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// This process cannot be recorded as the one that changes an instance.
    #[error(
        "record this process as the one that changes the instance: its start time from /proc, and a lock in the home"
    )]
    Owner {
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The instances of another home of this host, whose networks must not be drawn again, are unknown.
    #[error("find out which networks the home {home} has")]
    Neighbour {
        /// The other home.
        home: Utf8PathBuf,
        /// The file that lists it.
        listed: Utf8PathBuf,
        /// Why.
        #[source]
        source: Box<RegistryError>,
    },
}

/// Why a decision about the ledger was not recorded. `E` is what whoever decides may refuse with.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError<E: std::error::Error + 'static> {
    /// The ledger cannot be read or changed.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The decision was no; the ledger is as it was.
    #[error(transparent)]
    Refused(E),
}

impl Hint for RegistryError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Damaged { path, .. } => Some(format!(
                "restore {path} from a backup; without it nothing tells what belongs to whom, and `homelab reap` would \
                 remove all instances with their data"
            )),
            Self::Newer { .. } => Some("use the newer homelab that wrote it".to_owned()),
            Self::Broken { path, .. } => {
                Some(format!("what they occupy is unknown: correct them in {path}, or remove them there"))
            }
            Self::Unknown { .. } => Some("`homelab instance list` shows the names".to_owned()),
            Self::Taken { .. } => {
                Some("`homelab instance list` shows the names; choose another one".to_owned())
            }
            Self::Home(error) => error.hint(),
            Self::Neighbour { home, listed, source } => {
                let first = source.hint().unwrap_or_else(|| format!("make {home} readable"));
                Some(format!("{first}; if nothing of that home is left on this host, `rm {listed}`"))
            }
            Self::File(error) => error.hint(),
            Self::Owner { .. } => None,
        }
    }
}

impl<E: Hint + 'static> Hint for ChangeError<E> {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Registry(error) => error.hint(),
            Self::Refused(error) => error.hint(),
        }
    }
}
