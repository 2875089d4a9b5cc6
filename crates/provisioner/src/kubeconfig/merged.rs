//! The user's kubeconfig as kubectl sees it: all files of `KUBECONFIG` together, where the first file that has an
//! entry decides (client-go, tools/clientcmd/loader.go and config.go).

use std::io;

use camino::{Utf8Path, Utf8PathBuf};
use k8s_openapi::ByteString;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde_json::Value;

use crate::digest;
use crate::home::Home;
use crate::registry::{replace, sweep};

use super::document::{self, Document, Kind};
use super::lock::Lock;
use super::{Endpoint, KubeconfigError, failed, is_ours};

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
    /// Where the file is, links followed.
    path: Utf8PathBuf,
    before: String,
    document: Document,
}

impl Merged {
    /// The files as they are now.
    pub(super) fn read(home: &Home) -> Result<Self, KubeconfigError> {
        let chosen = home.merged_kubeconfig();
        let there = home.kubeconfigs().iter().filter(|path| *path == chosen || path.exists());
        let files = there.clone().map(|path| Part::read(path)).collect::<Result<_, _>>()?;
        Ok(Self { usual: there.clone().position(|path| path == chosen).unwrap_or(0), files })
    }

    /// One file alone.
    pub(super) fn of_file(path: &Utf8Path) -> Result<Self, KubeconfigError> {
        Ok(Self { files: vec![Part::read(path)?], usual: 0 })
    }

    /// Changes the files under kubectl's own locks; nothing is written where nothing changes.
    pub(super) fn edit<T>(
        home: &Home,
        change: impl FnOnce(&mut Self) -> Result<T, KubeconfigError>,
    ) -> Result<T, KubeconfigError> {
        let usual = home.merged_kubeconfig();
        let real = target(usual).map_err(failed("read", usual))?;
        for folder in [&*real, usual].into_iter().filter_map(Utf8Path::parent) {
            home.create_dir(folder).map_err(failed("make folder", folder))?;
        }
        let mut paths: Vec<&Utf8PathBuf> =
            home.kubeconfigs().iter().filter(|path| *path == usual || path.exists()).collect();
        paths.sort(); // as kubectl does: who locks in one order never waits in a circle
        let _held = paths.into_iter().map(|path| Lock::of(path)).collect::<Result<Vec<_>, _>>()?;
        let mut merged = Self::read(home)?;
        let result = change(&mut merged)?;
        for Part { path, before, document } in merged.files {
            sweep(&path).map_err(failed("tidy up beside", &path))?;
            let after = document.into_text();
            if after != before {
                replace(home, &path, after.as_bytes()).map_err(failed("write", &path))?;
            }
        }
        Ok(result)
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
        for Part { path, document, .. } in &self.files {
            match document.find(kind, name)? {
                Some(entry) if !is_ours(kind, entry, name, home) => {
                    return Err(KubeconfigError::Foreign {
                        path: path.clone(),
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
        let path = target(link).map_err(failed("read", link))?;
        let before = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(failed("read", &path)(error)),
        };
        Ok(Self { document: Document::parse(path.as_str(), &before)?, path, before })
    }
}

/// SHA-256 of a certificate as kubeconfigs hold it: PEM in base64.
fn fingerprint(data: &str) -> Option<String> {
    // Kubernetes' own type for bytes in JSON.
    let ByteString(pem) = serde_json::from_value(data.into()).ok()?;
    let certificate = CertificateDer::from_pem_slice(&pem).ok()?;
    Some(digest::fingerprint(&certificate))
}

/// Where a path really leads: people keep their kubeconfig as a link into their dotfiles.
fn target(path: &Utf8Path) -> io::Result<Utf8PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..40 {
        match path.read_link_utf8() {
            Ok(next) => path = path.parent().unwrap_or(Utf8Path::new("")).join(next),
            // EINVAL: it is no link (readlink(2)).
            Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::NotFound) => {
                return Ok(path);
            }
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::from(rustix::io::Errno::LOOP))
}
