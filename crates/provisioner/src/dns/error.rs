//! Why names cannot be recorded or removed, and what to do about it.

use std::io::ErrorKind;

use camino::Utf8PathBuf;

use crate::error::Hint;
use crate::exec::CommandError;
use crate::files::FileError;
use crate::plan::InstanceId;

/// Why names cannot be recorded or removed.
#[derive(Debug, thiserror::Error)]
pub enum DnsError {
    /// A file or folder.
    #[error(transparent)]
    File(#[from] FileError),
    /// Somebody's own line leads one of the names elsewhere. There is no override.
    #[error("{name} already in use: {path}:{line} leads it to {address}")]
    Taken {
        /// The name.
        name: String,
        /// The file.
        path: Utf8PathBuf,
        /// The line, from 1.
        line: usize,
        /// Where it leads.
        address: String,
    },
    /// The whole suffix is somebody else's. There is no override.
    #[error("suffix {suffix} already in use by {}: {path}:{line}", who(.holder))]
    Claimed {
        /// `<tldPrefix>.lab`.
        suffix: String,
        /// The instance that has it, unless it is none of any homelab.
        holder: Option<InstanceId>,
        /// The file.
        path: Utf8PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// It is unclear what is ours.
    #[error("{path}:{line}: {why}; the file is left as it is")]
    Damaged {
        /// The file.
        path: Utf8PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Recorded or removed, but dnsmasq does not know it yet.
    #[error("restart dnsmasq, which reads its drop-ins only then")]
    Restart(#[source] CommandError),
}

/// The way out of a file or folder that cannot be used.
const ELSEWHERE: &str = "let `dns` in config.yaml say where else names are recorded (docs/settings.md)";

fn who(holder: &Option<InstanceId>) -> String {
    holder.as_ref().map_or_else(|| "somebody else".to_owned(), InstanceId::scope)
}

impl Hint for DnsError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Taken { path, line, .. } | Self::Claimed { path, line, holder: None, .. } => {
                Some(format!("remove line {line} of {path}, or choose another suffix with --tld"))
            }
            Self::Claimed { holder: Some(_), .. } => Some(
                "`homelab dns sync` removes records that no instance explains; another user's instance keeps its \
                 suffix: choose another one with --tld"
                    .to_owned(),
            ),
            Self::Damaged { path, .. } => Some(format!("repair or remove the block in {path} by hand")),
            Self::File(error) if error.unfit().is_none() && error.source.kind() == ErrorKind::NotFound => Some(
                format!("{} is where names are recorded: make it, or choose another DNS provider", error.path),
            ),
            Self::File(error) => Some(match error.hint() {
                Some(hint) => format!("{hint}, or {ELSEWHERE}"),
                None => ELSEWHERE.to_owned(),
            }),
            Self::Restart(_) => None,
        }
    }
}
