//! Errors of recording and removing names, with hints.

use std::io::ErrorKind;

use camino::Utf8PathBuf;

use crate::error::Hint;
use crate::exec::CommandError;
use crate::files::FileError;
use crate::plan::InstanceId;

/// Why names cannot be recorded or removed.
#[derive(Debug, thiserror::Error)]
pub enum DnsError {
    /// A file or folder cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A line that is not ours maps one of the names to another address. No flag overrides this.
    #[error("{name} already in use: {path}:{line} maps it to {address}")]
    Taken {
        /// The name: `api.acme.lab`.
        name: String,
        /// The hosts file.
        path: Utf8PathBuf,
        /// The line, from 1.
        line: usize,
        /// The address in that line.
        address: String,
    },
    /// Another instance, or an entry that is not ours, has the suffix. No flag overrides this.
    #[error("suffix {suffix} already in use by {}: {path}:{line}", who(.holder))]
    Claimed {
        /// `<tldPrefix>.lab`.
        suffix: String,
        /// The instance that has the suffix. `None` if homelab has not written the entry.
        holder: Option<InstanceId>,
        /// The file.
        path: Utf8PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// The instance's block is incomplete, so its lines cannot be told from others.
    #[error("{path}:{line}: {why}; the file was not changed")]
    Damaged {
        /// The file.
        path: Utf8PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with the block.
        why: &'static str,
    },
    /// The names are recorded or removed, but dnsmasq was not restarted.
    #[error("restart dnsmasq, which reads drop-ins only when it starts")]
    Restart(#[source] CommandError),
}

/// The hint for a file or folder that cannot be used.
const ELSEWHERE: &str = "set `dns` in config.yaml to another place for names (docs/settings.md)";

fn who(holder: &Option<InstanceId>) -> String {
    holder.as_ref().map_or_else(|| "another entry".to_owned(), InstanceId::scope)
}

impl Hint for DnsError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Taken { path, line, .. } | Self::Claimed { path, line, holder: None, .. } => {
                Some(format!("remove line {line} of {path}, or choose another suffix with --tld"))
            }
            Self::Claimed { holder: Some(_), .. } => Some(
                "`sudo homelab dns sync` removes records that no instance of yours has; if the suffix belongs to another \
                 user's instance, choose another one with --tld"
                    .to_owned(),
            ),
            Self::Damaged { path, .. } => Some(format!("repair or remove the block in {path} by hand")),
            Self::File(error) if error.unfit().is_none() && error.source.kind() == ErrorKind::NotFound => Some(
                format!("create {}, in which names are recorded, or choose another DNS provider", error.path),
            ),
            Self::File(error) => Some(match error.hint() {
                Some(hint) => format!("{hint}, or {ELSEWHERE}"),
                None => ELSEWHERE.to_owned(),
            }),
            Self::Restart(_) => None,
        }
    }
}
