//! Keeps an instance's authority and its leaves in `instances/<name>/tls`, readable by the user only.
//!
//! A write removes the old certificate, replaces the key, and then writes the new certificate. So a crash can leave a
//! key without a certificate, but never a certificate without its key. Files are replaced atomically, by one process at
//! a time.

use std::fs;
use std::io;

use camino::{Utf8Path, Utf8PathBuf};
use jiff::Timestamp;

use crate::files::{self, FileError, Lock, failed, replace};
use crate::home::Home;
use crate::pki::Secret;
use crate::plan::ClusterPlan;
use crate::registry::Instance;

use super::{Authority, Certificate, CertificateState, HostNames, LONGEST_DAYS, Leaf, TlsError};

/// Name of the authority's files without the extension. A leaf's name contains a dot, so no leaf has this name.
const AUTHORITY: &str = "ca";

/// The folder with the certificates of one instance.
#[derive(Debug, Clone)]
pub struct Folder {
    home: Home,
    path: Utf8PathBuf,
    instance: String,
    subject: String,
    suffix: String,
}

/// The authority after `init`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Init {
    /// The authority.
    pub authority: Authority,
    /// Whether it was made just now.
    pub made: bool,
}

/// A leaf that was issued, and its files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    /// The certificate's file.
    pub certificate: Utf8PathBuf,
    /// The key's file.
    pub key: Utf8PathBuf,
    /// The certificate's fields.
    pub about: Certificate,
}

/// The result of a rotation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotated {
    /// The fingerprint of the old authority; `None` if the old certificate could not be parsed.
    pub old: Option<String>,
    /// The new authority.
    pub authority: Authority,
    /// Every leaf, as issued by the new authority.
    pub leaves: Vec<Issued>,
}

/// A leaf's certificate in the folder.
#[derive(Debug)]
pub struct Found {
    /// Its file.
    pub path: Utf8PathBuf,
    /// Its fields and its state, or the reason for which it cannot be read.
    pub certificate: Result<(Certificate, CertificateState), TlsError>,
}

impl Folder {
    /// The folder of an instance. Nothing is read or made yet.
    pub fn of(home: &Home, instance: &Instance) -> Self {
        Self {
            path: home.tls(&instance.name),
            home: home.clone(),
            instance: instance.name.clone(),
            subject: instance.k8s.ca_name.clone(),
            suffix: ClusterPlan::of(instance, home).dns_suffix(),
        }
    }

    /// The instance's DNS suffix, such as `acme.lab`. The authority signs this name and names below it.
    pub fn suffix(&self) -> &str {
        &self.suffix
    }

    /// The file of the authority's certificate.
    pub fn authority_path(&self) -> Utf8PathBuf {
        self.file(AUTHORITY, "crt")
    }

    /// Makes the authority if there is none.
    ///
    /// # Errors
    /// [`TlsError`], also when the existing files are not this instance's authority.
    pub fn init(&self, now: Timestamp) -> Result<Init, TlsError> {
        let _held = self.lock()?;
        match self.authority() {
            Ok(authority) => Ok(Init { authority, made: false }),
            Err(TlsError::NoAuthority { .. }) => {
                let authority = Authority::make(&self.subject, &self.suffix, now)?;
                self.write(AUTHORITY, &authority.key, &authority.certificate)?;
                Ok(Init { authority, made: true })
            }
            Err(error) => Err(error),
        }
    }

    /// The authority, checked: its subject, its constraint and its key are this instance's.
    ///
    /// # Errors
    /// [`TlsError::NoAuthority`], [`TlsError::NotOurs`], or a file cannot be read.
    pub fn authority(&self) -> Result<Authority, TlsError> {
        let (path, key) = (self.authority_path(), self.file(AUTHORITY, "key"));
        let Some(certificate) = files::read_text(&path)? else {
            return Err(TlsError::NoAuthority { instance: self.instance.clone(), path });
        };
        let key = Secret::new(text(&key)?);
        Authority::read(certificate, key, &self.subject, &self.suffix).map_err(|why| TlsError::NotOurs {
            instance: self.instance.clone(),
            path,
            why,
        })
    }

    /// Issues a leaf, and replaces an existing leaf with the same first name.
    ///
    /// # Errors
    /// [`TlsError`], with [`TlsError::Refused`] for names outside of the suffix. Nothing has been written, except
    /// possibly after a [`TlsError::File`].
    pub fn issue<T: AsRef<str>>(&self, names: &[T], days: u16, now: Timestamp) -> Result<Issued, TlsError> {
        let names = HostNames::parse(&self.suffix, names)?;
        let _held = self.lock()?;
        let authority = self.authority()?;
        if authority.about.not_after <= now {
            let since = authority.about.not_after;
            return Err(TlsError::Ended { instance: self.instance.clone(), since });
        }
        self.keep(&names, authority.issue(&names, days, now)?)
    }

    /// All leaves, sorted by file name. A leaf that cannot be read is in the list with the reason.
    ///
    /// # Errors
    /// When the folder or the authority cannot be read.
    pub fn leaves(&self, now: Timestamp) -> Result<Vec<Found>, TlsError> {
        let authority = self.authority()?;
        let found = self.certificates()?.into_iter().map(|path| {
            let certificate = read(&path).map(|(pem, about)| {
                let standing = match about.standing(now) {
                    CertificateState::Valid | CertificateState::Expiring if !authority.vouches_for(&pem) => {
                        CertificateState::Orphaned
                    }
                    standing => standing,
                };
                (about, standing)
            });
            Found { path, certificate }
        });
        Ok(found.collect())
    }

    /// Makes a new authority and issues every leaf again, with the same names and for [`LONGEST_DAYS`]. All
    /// certificates are made before the first file is written. An interrupted rotation can be repeated.
    ///
    /// # Errors
    /// [`TlsError`]; a leaf that cannot be read stops the rotation before anything is changed.
    pub fn rotate(&self, now: Timestamp) -> Result<Rotated, TlsError> {
        let _held = self.lock()?;
        let old = match read(&self.authority_path()) {
            Ok((_, about)) => Some(about.fingerprint),
            Err(TlsError::Unreadable { .. }) => None,
            Err(TlsError::File(FileError { source, path, .. }))
                if source.kind() == io::ErrorKind::NotFound =>
            {
                return Err(TlsError::NoAuthority { instance: self.instance.clone(), path });
            }
            Err(error) => return Err(error),
        };
        let authority = Authority::make(&self.subject, &self.suffix, now)?;
        let mut leaves = Vec::new();
        for path in self.certificates()? {
            let names = HostNames::parse(&self.suffix, &read(&path)?.1.names)?;
            let leaf = authority.issue(&names, LONGEST_DAYS, now)?;
            leaves.push((names, leaf));
        }
        self.write(AUTHORITY, &authority.key, &authority.certificate)?;
        let leaves = leaves.into_iter().map(|(names, leaf)| self.keep(&names, leaf));
        Ok(Rotated { old, authority, leaves: leaves.collect::<Result<_, _>>()? })
    }

    /// Locks the folder itself while the value lives, so that no leaf is issued by an authority that is being replaced.
    fn lock(&self) -> Result<Lock, TlsError> {
        self.home.create_dir(&self.path).map_err(failed("make folder", &self.path))?;
        Ok(Lock::of_folder(&self.path)?)
    }

    fn keep(&self, names: &HostNames, leaf: Leaf) -> Result<Issued, TlsError> {
        // A host name has no underscore, so no other leaf has this file name.
        let stem = names.first().replacen('*', "_wildcard", 1);
        self.write(&stem, &leaf.key, &leaf.certificate)?;
        Ok(Issued { certificate: self.file(&stem, "crt"), key: self.file(&stem, "key"), about: leaf.about })
    }

    fn write(&self, stem: &str, key: &Secret, certificate: &str) -> Result<(), TlsError> {
        let (certificate_path, key_path) = (self.file(stem, "crt"), self.file(stem, "key"));
        match fs::remove_file(&certificate_path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            removed => removed.map_err(failed("remove", &certificate_path))?,
        }
        for (path, text) in [(&key_path, key.reveal()), (&certificate_path, certificate)] {
            replace(&self.home, path, text.as_bytes())?;
        }
        Ok(())
    }

    /// The certificate files of all leaves, sorted.
    fn certificates(&self) -> Result<Vec<Utf8PathBuf>, TlsError> {
        let mut paths = Vec::new();
        for entry in self.path.read_dir_utf8().map_err(failed("read", &self.path))? {
            let path = entry.map_err(failed("read", &self.path))?.into_path();
            if path.extension() == Some("crt") && path.file_stem() != Some(AUTHORITY) {
                paths.push(path);
            }
        }
        paths.sort();
        Ok(paths)
    }

    fn file(&self, stem: &str, extension: &str) -> Utf8PathBuf {
        self.path.join(format!("{stem}.{extension}"))
    }
}

fn read(path: &Utf8Path) -> Result<(String, Certificate), TlsError> {
    let pem = text(path)?;
    let about = Certificate::read(&pem).map_err(|why| TlsError::Unreadable { path: path.to_owned(), why })?;
    Ok((pem, about))
}

fn text(path: &Utf8Path) -> Result<String, FileError> {
    files::read_text(path)?.ok_or_else(|| failed("read", path)(io::ErrorKind::NotFound.into()))
}
