//! An instance's names resolve on the workstation, and the way back.
//!
//! [`Records`] are what shall resolve. `hosts` keeps a block for each instance in `/etc/hosts`, `dnsmasq` a drop-in
//! for each; both go through `file`, one writer at a time. What is not ours stays as it is, byte for byte: a name that
//! somebody else has is refused, and damage is told, never guessed at. Inside a cluster its own DNS answers, see
//! `kubeadm`. Next in the flow: `provision` records names right after the claim and removes them last.

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
use crate::spec::Label;

pub use error::DnsError;
pub use records::{Recorded, Records};

/// Where names are recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dns {
    /// A block for each instance in a hosts file (hosts(5)), which knows no wildcards: only the API's name, the
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
        /// What restarts dnsmasq, the program first: it reads drop-ins only when it starts.
        restart: Option<Vec<String>>,
    },
    /// Nowhere.
    None,
}

/// When a change takes effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// With the next question.
    AtOnce,
    /// Now: dnsmasq was restarted.
    Restarted,
    /// When somebody restarts dnsmasq.
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

    /// Refuses a place where the names of an instance can be neither read nor recorded. Nothing is changed.
    ///
    /// # Errors
    /// [`DnsError::File`] with what stands in the way.
    pub fn check(&self, id: &InstanceId) -> Result<(), DnsError> {
        match self {
            Self::Hosts { file, .. } => file::check(file),
            Self::Dnsmasq { folder, .. } => dnsmasq::check(folder, id),
            Self::None => Ok(()),
        }
    }

    /// Records an instance's names; what was recorded of it before is replaced. Returns whether anything changed.
    ///
    /// # Errors
    /// [`DnsError::Taken`] and [`DnsError::Claimed`] when somebody else has one of the names,
    /// [`DnsError::Damaged`] when it is unclear what is ours, [`DnsError::File`] otherwise. Nothing is changed then.
    pub fn add(&self, records: &Records) -> Result<bool, DnsError> {
        match self {
            Self::Hosts { file, labels } => hosts::add(file, labels, records),
            Self::Dnsmasq { folder, .. } => dnsmasq::add(folder, records),
            Self::None => Ok(false),
        }
    }

    /// Removes what is recorded of an instance of this home. Returns whether there was anything.
    ///
    /// # Errors
    /// [`DnsError::Damaged`] when it is unclear what is ours, [`DnsError::File`] otherwise. Nothing is changed then.
    pub fn remove(&self, home: &Home, instance: &str) -> Result<bool, DnsError> {
        match self {
            Self::Hosts { file, .. } => hosts::remove(home, file, instance),
            Self::Dnsmasq { folder, .. } => dnsmasq::remove(home, folder, instance),
            Self::None => Ok(false),
        }
    }

    /// Everything that is recorded of this home's instances, also what is damaged.
    ///
    /// # Errors
    /// [`DnsError::File`] when it cannot be read.
    pub fn list(&self, home: &Home) -> Result<Vec<Recorded>, DnsError> {
        match self {
            Self::Hosts { file, .. } => hosts::list(home, file),
            Self::Dnsmasq { folder, .. } => dnsmasq::list(home, folder),
            Self::None => Ok(Vec::new()),
        }
    }

    /// Makes changes take effect, once after all of them.
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

    /// The file or folder that is changed.
    pub fn place(&self) -> Option<&Utf8Path> {
        match self {
            Self::Hosts { file, .. } => Some(file),
            Self::Dnsmasq { folder, .. } => Some(folder),
            Self::None => None,
        }
    }

    /// Whether this process may change it: a file is replaced, so its folder counts as well.
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
