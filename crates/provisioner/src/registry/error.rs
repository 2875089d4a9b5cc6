//! The errors of the registry and their hints.

use camino::Utf8PathBuf;

use crate::error::Hint;
use crate::files::FileError;
use crate::home::HomeError;

use super::ledger::VERSION;

/// Why the ledger cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// A file or folder of the home cannot be read, written or locked.
    #[error(transparent)]
    File(#[from] FileError),
    /// The file is incomplete, or no ledger at all.
    #[error("{path} is no registry, or a damaged one; it is left as it is")]
    Damaged {
        /// The path of the ledger.
        path: Utf8PathBuf,
        /// The position at which parsing failed.
        #[source]
        source: serde_json::Error,
    },
    /// A newer version of homelab wrote the ledger.
    #[error("{path} has format {version}, and this version of homelab knows formats up to {VERSION}")]
    Newer {
        /// The path of the ledger.
        path: Utf8PathBuf,
        /// The format of the ledger.
        version: u32,
    },
    /// Some entries cannot be parsed, and the operation needs all of them.
    #[error("{path} has broken entries: {}", .entries.join("; "))]
    Broken {
        /// The path of the ledger.
        path: Utf8PathBuf,
        /// The name of each broken entry, with the reason.
        entries: Vec<String>,
    },
    /// The registry has no such instance.
    #[error("no instance '{name}'")]
    Unknown {
        /// The name that was asked for.
        name: String,
    },
    /// Another instance has this name, although the decision should have refused that.
    #[error("name {name} already in use by instance '{name}'")]
    Taken {
        /// The name of both instances.
        name: String,
    },
    /// The home's id cannot be read or kept, or another home has the same id.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// This process cannot be recorded as the owner of an operation.
    #[error(
        "record this process as the owner of the operation, by its start time in /proc and a lock in the home"
    )]
    Owner {
        /// Why `/proc` cannot be read or the lock cannot be held.
        #[source]
        source: std::io::Error,
    },
    /// The ledger of another home of this host cannot be read, so its networks are unknown.
    #[error("read the networks of the home {home}")]
    Neighbour {
        /// The folder of the other home.
        home: Utf8PathBuf,
        /// The file in the list of homes that names the other home.
        listed: Utf8PathBuf,
        /// Why its ledger cannot be read.
        #[source]
        source: Box<RegistryError>,
    },
}

/// Why a change of the ledger was not recorded. `E` is the error type of the function that decides.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError<E: std::error::Error + 'static> {
    /// The ledger cannot be read or changed.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The function that decides refused the change; the ledger is unchanged.
    #[error(transparent)]
    Refused(E),
}

impl Hint for RegistryError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Damaged { path, .. } => Some(format!(
                "restore {path} from a backup; without its entries, `sudo homelab reap` would remove all instances with \
                 their data"
            )),
            Self::Newer { .. } => Some("use the newer homelab that wrote it".to_owned()),
            Self::Broken { path, .. } => Some(format!(
                "correct or remove these entries in {path}: their names and networks are unknown"
            )),
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
