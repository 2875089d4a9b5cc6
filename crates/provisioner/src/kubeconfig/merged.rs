//! The user's kubeconfig as kubectl reads it: all files of `KUBECONFIG` merged. If several files have an entry, that of
//! the first file counts (client-go, tools/clientcmd/loader.go and config.go).

use camino::{Utf8Path, Utf8PathBuf};
use k8s_openapi::ByteString;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde_json::Value;

use crate::digest;
use crate::files::{Foreign, Fresh, demand_room_for_files, failed, sweep};
use crate::home::Home;

use super::document::{self, Document, Kind};
use super::lock::{self, Lock};
use super::{Endpoint, KubeconfigError, is_ours};

/// All files of the user's kubeconfig, in their order.
#[derive(Debug)]
pub(super) struct Merged {
    files: Vec<Part>,
    /// The index of the file that gets new entries.
    usual: usize,
}

/// One file of the user's kubeconfig.
#[derive(Debug)]
struct Part {
    /// The path as in `KUBECONFIG`, with symbolic links.
    link: Utf8PathBuf,
    file: Foreign,
    document: Document,
}

/// Which files must be valid kubeconfigs.
#[derive(Debug, Clone, Copy)]
pub(super) enum Needed<'a> {
    /// All files.
    All,
    /// Files that contain this text. Other files are skipped if they are invalid.
    Holding(&'a str),
}

impl Merged {
    /// Reads and parses the files.
    pub(super) fn read(home: &Home, needed: Needed<'_>) -> Result<Self, KubeconfigError> {
        let mut merged = Self { files: Vec::new(), usual: 0 };
        for link in there(home) {
            match Part::read(link) {
                Err(error) if needed.does_without(link, &error) => continue,
                part => merged.files.push(part?),
            }
            if link == home.merged_kubeconfig() {
                merged.usual = merged.files.len() - 1;
            }
        }
        Ok(merged)
    }

    /// Reads and parses one file.
    pub(super) fn of_file(path: &Utf8Path) -> Result<Self, KubeconfigError> {
        Ok(Self { files: vec![Part::read(path)?], usual: 0 })
    }

    /// Applies `change` under kubectl's locks, and writes the files that change. Locks only those files: other files
    /// may be in a folder where no lock file can be created. May call `change` several times.
    pub(super) fn edit<T>(
        home: &Home,
        needed: Needed<'_>,
        change: impl Fn(&mut Self) -> Result<T, KubeconfigError>,
    ) -> Result<T, KubeconfigError> {
        let attempt = || {
            let mut merged = Self::read(home, needed)?;
            let result = change(&mut merged)?;
            Ok::<_, KubeconfigError>((result, merged))
        };
        loop {
            let first = attempt();
            // kubectl writes in place, so a file that was read during its write may be incomplete.
            let links = match &first {
                Ok((_, merged)) if merged.is_settled() => merged.changed(),
                _ => there(home).cloned().collect(),
            };
            let nothing_changes = matches!(&first, Ok((_, merged)) if merged.changed().is_empty());
            if links.is_empty() {
                return first.map(|(result, _)| result);
            }
            let _held = match locks(home, &links) {
                Ok(held) => held,
                Err(_) if nothing_changes => return first.map(|(result, _)| result),
                Err(error) => return first.and(Err(error)),
            };
            let (result, merged) = attempt()?;
            if merged.changed().iter().all(|link| links.contains(link)) {
                merged.write(home)?;
                return Ok(result);
            }
        }
    }

    /// Checks that all files are valid and that the file for new entries can be locked and written. Changes nothing.
    pub(super) fn check(home: &Home) -> Result<Self, KubeconfigError> {
        let merged = Self::read(home, Needed::All)?;
        let Some(usual) = merged.files.get(merged.usual) else { return Ok(merged) };
        let folder = usual.link.parent().filter(|folder| !folder.as_str().is_empty());
        if folder.is_some_and(|folder| !folder.exists()) {
            demand_room_for_files(&usual.link, 0)?;
            return Ok(merged);
        }
        let _held = Lock::of(&usual.link)?;
        usual.file.demand_writable()?;
        Ok(merged)
    }

    /// The paths of the files with unwritten changes, sorted: kubectl locks in this order too, so no deadlock is
    /// possible.
    fn changed(&self) -> Vec<Utf8PathBuf> {
        let changed = self.files.iter().filter(|part| part.document.bytes() != part.file.contents());
        let mut links: Vec<Utf8PathBuf> = changed.map(|part| part.link.clone()).collect();
        links.sort();
        links
    }

    /// Whether no file has a lock file or has changed since it was read.
    fn is_settled(&self) -> bool {
        let settled =
            |part: &Part| lock::beside(&part.link).symlink_metadata().is_err() && part.file.is_still_so();
        self.files.iter().all(settled)
    }

    fn write(&self, home: &Home) -> Result<(), KubeconfigError> {
        for Part { file, document, .. } in &self.files {
            let after = document.bytes();
            if after != file.contents() {
                sweep(file.path())?;
                file.write(&after, Fresh::Private(home))?;
            }
        }
        Ok(())
    }

    /// The entry of this name in the first file that has one.
    pub(super) fn find(&self, kind: Kind, name: &str) -> Result<Option<&Value>, KubeconfigError> {
        for part in &self.files {
            if let Some(entry) = part.document.find(kind, name)? {
                return Ok(Some(entry));
            }
        }
        Ok(None)
    }

    /// The API server of a context. The context and its cluster may be in different files.
    pub(super) fn endpoint(&self, context: &str) -> Result<Option<Endpoint>, KubeconfigError> {
        let Some(context) = self.find(Kind::Context, context)? else { return Ok(None) };
        let cluster = context["context"]["cluster"].as_str().unwrap_or_default();
        let Some(cluster) = self.find(Kind::Cluster, cluster)? else { return Ok(Some(Endpoint::default())) };
        let text = |key: &str| cluster["cluster"][key].as_str();
        Ok(Some(Endpoint {
            server: text("server").unwrap_or_default().to_owned(),
            authority: text("certificate-authority-data").and_then(fingerprint),
        }))
    }

    /// The names of all entries of a kind, without duplicates.
    pub(super) fn names(&self, kind: Kind) -> Result<Vec<String>, KubeconfigError> {
        let mut names: Vec<String> = Vec::new();
        for part in &self.files {
            for name in part.document.entries(kind)?.iter().filter_map(document::name) {
                if !names.iter().any(|known| known == name) {
                    names.push(name.to_owned());
                }
            }
        }
        Ok(names)
    }

    /// The current context of the first file that has one.
    pub(super) fn current(&self) -> Option<&str> {
        self.files.iter().filter_map(|part| part.document.current()).find(|name| !name.is_empty())
    }

    /// Sets the current context, in the file that gets new entries.
    pub(super) fn set_current(&mut self, name: &str) -> Result<(), KubeconfigError> {
        self.files[self.usual].document.set_current(name)
    }

    /// Replaces the entry of the same name in the first file that has one, or adds it to the file that gets new
    /// entries.
    pub(super) fn put(&mut self, kind: Kind, entry: &Value) -> Result<(), KubeconfigError> {
        let name = document::name(entry).unwrap_or_default();
        let mut place = self.usual;
        for (i, part) in self.files.iter().enumerate().rev() {
            if part.document.find(kind, name)?.is_some() {
                place = i;
            }
        }
        self.files[place].document.put(kind, entry.clone())
    }

    /// Removes an instance's entries from all files, and clears the current context where it is the instance's. Returns
    /// whether there were such entries.
    pub(super) fn remove(&mut self, name: &str, home: &str) -> Result<bool, KubeconfigError> {
        let mut found = false;
        let mut had_context = false;
        for kind in Kind::ALL {
            for Part { document, .. } in &mut self.files {
                let ours = |entry: &Value| is_ours(kind, entry, name, home);
                if let Some(place) = document.entries(kind)?.iter().position(ours) {
                    document.remove(kind, place)?;
                    found = true;
                    had_context |= kind == Kind::Context;
                }
            }
        }
        if had_context && self.find(Kind::Context, name)?.is_none() {
            for Part { document, .. } in &mut self.files {
                if document.current() == Some(name) {
                    document.set_current("")?;
                }
            }
        }
        Ok(found)
    }

    /// Refuses a name if some file has an entry of that name that is not ours: one of the two entries would hide the
    /// other.
    pub(super) fn refuse_foreign(&self, kind: Kind, name: &str, home: &str) -> Result<(), KubeconfigError> {
        for Part { file, document, .. } in &self.files {
            match document.find(kind, name)? {
                Some(entry) if !is_ours(kind, entry, name, home) => {
                    return Err(KubeconfigError::Foreign {
                        path: file.path().to_owned(),
                        kind: kind.one(),
                        name: name.to_owned(),
                        server: document.server(kind, entry),
                    });
                }
                _ => {}
            }
        }
        Ok(())
    }
}

impl Part {
    fn read(link: &Utf8Path) -> Result<Self, KubeconfigError> {
        let file = Foreign::read(link)?;
        let document = Document::of_file(file.path(), file.contents())?;
        Ok(Self { document, file, link: link.to_owned() })
    }
}

impl Needed<'_> {
    /// Whether a file with this error can be skipped.
    fn does_without(self, link: &Utf8Path, error: &KubeconfigError) -> bool {
        match (self, error) {
            (Self::All, _) => false,
            (Self::Holding(_), KubeconfigError::File(error)) if error.is_not_regular() => true,
            (Self::Holding(text), _) => {
                let holds = |bytes: &[u8]| bytes.windows(text.len()).any(|part| part == text.as_bytes());
                Foreign::read(link).is_ok_and(|file| !holds(file.contents()))
            }
        }
    }
}

/// The files that exist, and the file that gets new entries even if it does not exist.
fn there(home: &Home) -> impl Iterator<Item = &Utf8PathBuf> {
    let usual = home.merged_kubeconfig();
    home.kubeconfigs().iter().filter(move |path| *path == usual || path.exists())
}

/// Locks these files in this order. Makes missing folders for files that do not exist yet.
fn locks(home: &Home, links: &[Utf8PathBuf]) -> Result<Vec<Lock>, KubeconfigError> {
    // A path without a folder is in the working directory.
    let folders = links.iter().filter_map(|link| link.parent()).filter(|folder| !folder.as_str().is_empty());
    for folder in folders {
        home.create_dir(folder).map_err(failed("make folder", folder))?;
    }
    links.iter().map(|link| Lock::of(link)).collect()
}

/// SHA-256 of a certificate that is base64-encoded PEM, as in kubeconfigs.
fn fingerprint(data: &str) -> Option<String> {
    // Kubernetes' own type for bytes in JSON decodes the base64.
    let ByteString(pem) = serde_json::from_value(data.into()).ok()?;
    let certificate = CertificateDer::from_pem_slice(&pem).ok()?;
    Some(digest::fingerprint(&certificate))
}
