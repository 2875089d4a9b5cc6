//! The host's trust store: which authorities every program on this host accepts.
//!
//! An anchor of ours is one file, named after home and instance, in the folder for what administrators add; a
//! program of the distribution then makes it known. Nothing else in the store is read or touched. Which folder
//! and which program is a [`Family`], data chosen by `/etc/os-release`. Next in the flow: `kubeconfig`.

mod family;
mod error;

use std::fs;
use std::io;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};

use crate::exec::{Command, Runner};
use crate::files::{self, FileError, Lock, failed, replace_public};
use crate::plan::InstanceId;
use crate::spec::Label;

pub use error::TrustError;
pub use family::Family;

const OS_RELEASE: &str = "/etc/os-release";

/// A trust store: this host's, or another for tests.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Store {
    family: Option<Family>,
}

impl Store {
    /// The store of this host. What family it is of is looked up when it matters.
    pub fn of_host() -> Self {
        Self::default()
    }

    /// A store in other folders and with other programs, for tests.
    pub fn at(family: Family) -> Self {
        Self { family: Some(family) }
    }

    /// Trusts an authority, and returns the certificate of the one that it replaces, if there was one for this
    /// instance.
    ///
    /// # Errors
    /// [`TrustError`]. When the host does not take note of the anchor, it is as it was before.
    pub async fn trust(
        &self,
        runner: &dyn Runner,
        id: &InstanceId,
        certificate: &str,
    ) -> Result<Option<String>, TrustError> {
        let family = self.family()?.ok_or(TrustError::UnknownHost { path: OS_RELEASE.into() })?;
        change(runner, &family, id, Some(certificate)).await
    }

    /// Trusts an instance's authority no longer and returns its certificate, if there was one. It removes that
    /// one file, and runs nothing when there is none.
    ///
    /// # Errors
    /// [`TrustError`]. When the host does not take note, the anchor is put back, so that this can be repeated.
    pub async fn untrust(&self, runner: &dyn Runner, id: &InstanceId) -> Result<Option<String>, TrustError> {
        match (self.trusted(id)?, self.family()?) {
            (Some(_), Some(family)) => change(runner, &family, id, None).await,
            _ => Ok(None),
        }
    }

    /// The certificate of the authority that is trusted for an instance.
    ///
    /// # Errors
    /// [`TrustError::File`].
    pub fn trusted(&self, id: &InstanceId) -> Result<Option<String>, TrustError> {
        let Some(family) = self.family()? else { return Ok(None) };
        Ok(files::read_text(&anchor(&family, id))?)
    }

    /// The instances of a home that have an anchor, whether or not anything explains it.
    ///
    /// # Errors
    /// [`TrustError::File`].
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
            // What is no name of an instance is none of our files, however it begins.
            let name = name.filter(|name| name.parse::<Label>().is_ok());
            found.extend(name.map(|name| InstanceId { home: home.to_owned(), name: name.to_owned() }));
        }
        found.sort();
        Ok(found)
    }

    /// The family, or none when nobody knows it: nothing of ours is trusted on such a host.
    fn family(&self) -> Result<Option<Family>, TrustError> {
        if let Some(family) = &self.family {
            return Ok(Some(family.clone()));
        }
        Ok(files::read_text(OS_RELEASE.into())?.and_then(|text| Family::of(&text)))
    }
}

/// Puts a certificate in an anchor's place, or takes it away, and makes that known; returns what was there.
/// One at a time on this host: the distributions' programs do not expect company.
async fn change(
    runner: &dyn Runner,
    family: &Family,
    id: &InstanceId,
    to: Option<&str>,
) -> Result<Option<String>, TrustError> {
    // The folder itself, so that no file has to be left for it.
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
