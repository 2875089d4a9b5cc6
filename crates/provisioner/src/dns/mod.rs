//! Records the names of instances on the host, and removes them again.
//!
//! [`Records`] are an instance's names and addresses. `hosts` keeps a block for each instance in `/etc/hosts`,
//! `dnsmasq` a drop-in for each; both write through `file`, one writer at a time. Text that is not ours is never
//! changed: a name that another entry has is refused, and a damaged block is an error. Inside a cluster its own DNS
//! answers, see `kubeadm`. Next in the flow: `provision` records names right after the claim and removes them last.

mod records;
mod file;
mod hosts;
mod dnsmasq;
mod error;

use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use rustix::fs::{Access, access};

use crate::exec::{Command, Runner};
use crate::home::Home;
use crate::plan::InstanceId;
use crate::request::Label;

pub use error::DnsError;
pub use records::{Recorded, Records};

/// The place where names are recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dns {
    /// A block for each instance in a hosts file (hosts(5)), which has no wildcards: only the API server's name, the
    /// suffix itself and these labels below it resolve.
    Hosts {
        /// The file, usually `/etc/hosts`.
        file: Utf8PathBuf,
        /// First labels of further names, `grafana` for `grafana.<tldPrefix>.lab`, the same for every instance.
        labels: Vec<Label>,
    },
    /// A drop-in for each instance in a folder that dnsmasq reads (`--conf-dir`): every name below the suffix
    /// resolves.
    Dnsmasq {
        /// The folder, usually `/etc/dnsmasq.d`.
        folder: Utf8PathBuf,
        /// The command that restarts dnsmasq, which reads drop-ins only when it starts. `None` if the user restarts it.
        restart: Option<Vec<String>>,
    },
    /// Names are not recorded.
    None,
}

/// When a change takes effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// With the next query.
    AtOnce,
    /// At once, because dnsmasq was restarted.
    Restarted,
    /// When the user restarts dnsmasq.
    AfterRestart,
}

impl Default for Dns {
    fn default() -> Self {
        Self::etc_hosts()
    }
}

impl Dns {
    /// `/etc/hosts`, which every Linux host has.
    pub fn etc_hosts() -> Self {
        Self::Hosts { file: "/etc/hosts".into(), labels: Vec::new() }
    }

    /// Checks that the names of an instance can be recorded. Changes nothing.
    ///
    /// # Errors
    /// [`DnsError::File`] with the file or folder that cannot be used.
    pub fn check(&self, id: &InstanceId) -> Result<(), DnsError> {
        match self {
            Self::Hosts { file, .. } => file::check(file),
            Self::Dnsmasq { folder, .. } => dnsmasq::check(folder, id),
            Self::None => Ok(()),
        }
    }

    /// Records an instance's names, and replaces its earlier records. Returns whether the records changed.
    ///
    /// # Errors
    /// [`DnsError::Taken`] and [`DnsError::Claimed`] when another entry has one of the names, [`DnsError::Damaged`]
    /// when the instance's block is damaged, [`DnsError::File`] otherwise. Nothing is changed then.
    pub fn add(&self, records: &Records) -> Result<bool, DnsError> {
        match self {
            Self::Hosts { file, labels } => hosts::add(file, labels, records),
            Self::Dnsmasq { folder, .. } => dnsmasq::add(folder, records),
            Self::None => Ok(false),
        }
    }

    /// Removes the records of an instance of this home. Returns whether it had any.
    ///
    /// # Errors
    /// [`DnsError::Damaged`] when the instance's block is damaged, [`DnsError::File`] otherwise. Nothing is changed
    /// then.
    pub fn remove(&self, home: &Home, instance: &str) -> Result<bool, DnsError> {
        match self {
            Self::Hosts { file, .. } => hosts::remove(home, file, instance),
            Self::Dnsmasq { folder, .. } => dnsmasq::remove(home, folder, instance),
            Self::None => Ok(false),
        }
    }

    /// Reads the records of this home's instances, also the damaged ones.
    ///
    /// # Errors
    /// [`DnsError::File`] when the file or folder cannot be read.
    pub fn list(&self, home: &Home) -> Result<Vec<Recorded>, DnsError> {
        match self {
            Self::Hosts { file, .. } => hosts::list(home, file),
            Self::Dnsmasq { folder, .. } => dnsmasq::list(home, folder),
            Self::None => Ok(Vec::new()),
        }
    }

    /// Makes changes take effect. To be called once after all changes.
    ///
    /// # Errors
    /// [`DnsError::Restart`] when dnsmasq cannot be restarted.
    pub async fn settle(&self, runner: &dyn Runner) -> Result<Effect, DnsError> {
        match self {
            Self::Hosts { .. } | Self::None => Ok(Effect::AtOnce),
            Self::Dnsmasq { restart, .. } => match restart.as_deref().and_then(restarting) {
                Some(command) => {
                    runner.run(&command).await.map(|_| Effect::Restarted).map_err(DnsError::Restart)
                }
                None => Ok(Effect::AfterRestart),
            },
        }
    }

    /// The file or folder in which names are recorded.
    pub fn place(&self) -> Option<&Utf8Path> {
        match self {
            Self::Hosts { file, .. } => Some(file),
            Self::Dnsmasq { folder, .. } => Some(folder),
            Self::None => None,
        }
    }

    /// Whether this process may change the records. A file is replaced by a rename, so its folder must be writable too.
    pub fn is_writable(&self) -> bool {
        let may = |path: &Utf8Path| !path.exists() || access(path.as_std_path(), Access::WRITE_OK).is_ok();
        match self {
            Self::Hosts { file, .. } => may(file) && file.parent().is_none_or(may),
            Self::Dnsmasq { folder, .. } => may(folder),
            Self::None => true,
        }
    }
}

/// The command that restarts dnsmasq. Pure.
fn restarting(words: &[String]) -> Option<Command> {
    let (program, arguments) = words.split_first()?;
    Some(Command::within(Duration::from_secs(30), program).args(arguments))
}
