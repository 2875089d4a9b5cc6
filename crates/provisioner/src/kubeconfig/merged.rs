//! The user's kubeconfig as kubectl sees it: all files of `KUBECONFIG` together, where the first file that has an
//! entry decides (client-go, tools/clientcmd/loader.go and config.go).

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

/// All files, in their order.
#[derive(Debug)]
pub(super) struct Merged {
    files: Vec<Part>,
    /// The one that takes what is new.
    usual: usize,
}

/// One file of it.
#[derive(Debug)]
struct Part {
    /// As the user names it.
    link: Utf8PathBuf,
    file: Foreign,
    document: Document,
}

/// Which files must be understood.
#[derive(Debug, Clone, Copy)]
pub(super) enum Needed<'a> {
    /// All of them.
    All,
    /// Those that hold this text: what others hold, even if it is no kubeconfig, does not matter.
    Holding(&'a str),
}

impl Merged {
    /// The files as they are now.
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

    /// One file alone.
    pub(super) fn of_file(path: &Utf8Path) -> Result<Self, KubeconfigError> {
        Ok(Self { files: vec![Part::read(path)?], usual: 0 })
    }

    /// Changes the files under kubectl's own locks. Nothing is written where nothing changes, and what is not written
    /// is not locked either: it may be a file that cannot be.
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
            // kubectl writes in place: what was read meanwhile may be the half of it.
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

    /// Refuses a kubeconfig that cannot be understood, or into which nothing can be put. Nothing is changed.
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

    /// The files that are not as they were read, as the user names them, in the order in which kubectl locks: who locks
    /// in one order never waits in a circle.
    fn changed(&self) -> Vec<Utf8PathBuf> {
        let changed = self.files.iter().filter(|part| part.document.bytes() != part.file.contents());
        let mut links: Vec<Utf8PathBuf> = changed.map(|part| part.link.clone()).collect();
        links.sort();
        links
    }

    /// Whether nobody was changing any of the files while they were read.
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

    /// The entry of this name that counts.
    pub(super) fn find(&self, kind: Kind, name: &str) -> Result<Option<&Value>, KubeconfigError> {
        for part in &self.files {
            if let Some(entry) = part.document.find(kind, name)? {
                return Ok(Some(entry));
            }
        }
        Ok(None)
    }

    /// Where a context leads, through whichever files.
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

    /// The names of all entries of a kind, each once.
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

    /// The current context: that of the first file that names one.
    pub(super) fn current(&self) -> Option<&str> {
        self.files.iter().filter_map(|part| part.document.current()).find(|name| !name.is_empty())
    }

    /// Chooses the current context.
    pub(super) fn set_current(&mut self, name: &str) -> Result<(), KubeconfigError> {
        self.files[self.usual].document.set_current(name)
    }

    /// Replaces the entry of the same name where it stands, or adds one to the file that takes what is new.
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

    /// Removes an instance's entries from all files, and its name where it is the current context.
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

    /// Refuses a name that somebody else has an entry of, in whichever file: one of ours would hide it, or be hidden.
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
    /// Whether a file that cannot be used need not be used.
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

/// The files that there are, and the one that takes what is new whether it is there or not.
fn there(home: &Home) -> impl Iterator<Item = &Utf8PathBuf> {
    let usual = home.merged_kubeconfig();
    home.kubeconfigs().iter().filter(move |path| *path == usual || path.exists())
}

/// Locks these files, which are in order; the folder of one that is not there is made.
fn locks(home: &Home, links: &[Utf8PathBuf]) -> Result<Vec<Lock>, KubeconfigError> {
    // The folder of a name alone is the present one.
    let folders = links.iter().filter_map(|link| link.parent()).filter(|folder| !folder.as_str().is_empty());
    for folder in folders {
        home.create_dir(folder).map_err(failed("make folder", folder))?;
    }
    links.iter().map(|link| Lock::of(link)).collect()
}

/// SHA-256 of a certificate as kubeconfigs hold it: PEM in base64.
fn fingerprint(data: &str) -> Option<String> {
    // Kubernetes' own type for bytes in JSON.
    let ByteString(pem) = serde_json::from_value(data.into()).ok()?;
    let certificate = CertificateDer::from_pem_slice(&pem).ok()?;
    Some(digest::fingerprint(&certificate))
}
