//! Adds authorities to the trust store that the host's programs use, and removes them.
//!
//! An anchor of ours is one file, named after home and instance, in the distribution's folder for local anchors. A
//! program of the distribution then updates the store. Nothing else in the store is read or changed. Folder and program
//! are a [`Family`], chosen by `/etc/os-release`. This module does not know what an authority signs. Next in the flow:
//! `kubeconfig`.

mod family;
mod error;

use std::fs;
use std::io;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};

use crate::exec::{Command, Runner};
use crate::files::{self, FileError, Lock, failed, replace_public};
use crate::plan::InstanceId;
use crate::request::Label;

pub use error::TrustError;
pub use family::Family;

const OS_RELEASE: &str = "/etc/os-release";

/// A trust store: this host's, or another for tests.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Store {
    family: Option<Family>,
}

impl Store {
    /// The store of this host. Its family is read from `/etc/os-release` when it is needed.
    pub fn of_host() -> Self {
        Self::default()
    }

    /// A store in other folders and with other programs, for tests.
    pub fn at(family: Family) -> Self {
        Self { family: Some(family) }
    }

    /// Trusts an authority for an instance, and returns the instance's old anchor, if there was one.
    ///
    /// # Errors
    /// [`TrustError`]. When the distribution's program fails, the anchor is as it was before.
    pub async fn trust(
        &self,
        runner: &dyn Runner,
        id: &InstanceId,
        certificate: &str,
    ) -> Result<Option<String>, TrustError> {
        let family = self.family()?.ok_or(TrustError::UnknownHost { path: OS_RELEASE.into() })?;
        change(runner, &family, id, Some(certificate)).await
    }

    /// Removes an instance's anchor and returns its certificate. Without an anchor, runs nothing and returns `None`.
    ///
    /// # Errors
    /// [`TrustError`]. When the distribution's program fails, the anchor is put back, so that this can be repeated.
    pub async fn untrust(&self, runner: &dyn Runner, id: &InstanceId) -> Result<Option<String>, TrustError> {
        match (self.trusted(id)?, self.family()?) {
            (Some(_), Some(family)) => change(runner, &family, id, None).await,
            _ => Ok(None),
        }
    }

    /// The certificate of the authority that is trusted for an instance; `None` if it has no anchor.
    ///
    /// # Errors
    /// [`TrustError::File`] when `/etc/os-release` or the anchor cannot be read.
    pub fn trusted(&self, id: &InstanceId) -> Result<Option<String>, TrustError> {
        let Some(family) = self.family()? else { return Ok(None) };
        Ok(files::read_text(&anchor(&family, id))?)
    }

    /// The instances of a home that have an anchor, whether or not the registry has them.
    ///
    /// # Errors
    /// [`TrustError::File`] when `/etc/os-release` or the folder of anchors cannot be read. A missing folder is no
    /// error.
    pub fn anchors(&self, home: &str) -> Result<Vec<InstanceId>, TrustError> {
        let Some(family) = self.family()? else { return Ok(Vec::new()) };
        let entries = match family.anchors.read_dir_utf8() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(failed("read", &family.anchors))?,
        };
        let (prefix, suffix) = (InstanceId::prefix(home), format!(".{}", family.extension));
        let mut found = Vec::new();
        for entry in entries {
            let entry = entry.map_err(failed("read", &family.anchors))?;
            let name = entry.file_name().strip_prefix(&prefix).and_then(|name| name.strip_suffix(&suffix));
            // A file without a valid instance name in its name is not ours, even with our prefix.
            let name = name.filter(|name| name.parse::<Label>().is_ok());
            found.extend(name.map(|name| InstanceId { home: home.to_owned(), name: name.to_owned() }));
        }
        found.sort();
        Ok(found)
    }

    /// The family; `None` on an unknown distribution, where no anchor of ours can exist.
    fn family(&self) -> Result<Option<Family>, TrustError> {
        if let Some(family) = &self.family {
            return Ok(Some(family.clone()));
        }
        Ok(files::read_text(OS_RELEASE.into())?.and_then(|text| Family::of(&text)))
    }
}

/// Writes or removes an anchor, updates the store, and returns the old anchor. One change at a time on this host,
/// because the distributions' programs are not made to run concurrently.
async fn change(
    runner: &dyn Runner,
    family: &Family,
    id: &InstanceId,
    to: Option<&str>,
) -> Result<Option<String>, TrustError> {
    // The lock is on the folder itself, so that no lock file is left there.
    let _held = Lock::waited_for(family.anchors.clone(), Lock::of_folder).await?;
    let path = anchor(family, id);
    let before = files::read_text(&path)?;
    put(&path, to)?;
    let words = if to.is_some() { &family.added } else { &family.removed };
    if let Err(source) = runner.run(&command(words)).await {
        put(&path, before.as_deref())?;
        return Err(TrustError::Update { path, source });
    }
    Ok(before)
}

fn command(words: &[String]) -> Command {
    let (program, arguments) = words.split_first().expect("a family's command has a program");
    Command::within(Duration::from_secs(60), program).args(arguments)
}

fn anchor(family: &Family, id: &InstanceId) -> Utf8PathBuf {
    family.anchors.join(format!("{}.{}", id.scope(), family.extension))
}

fn put(path: &Utf8Path, contents: Option<&str>) -> Result<(), FileError> {
    match contents {
        Some(contents) => replace_public(path, contents.as_bytes()),
        None => match fs::remove_file(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed.map_err(failed("remove", path)),
        },
    }
}
