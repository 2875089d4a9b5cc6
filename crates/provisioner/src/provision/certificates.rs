//! The certificates of an instance's own authority: the authority, the leaves that it issued, and the host's trust in
//! it. The certificates of the cluster itself are in `renewal`.

use jiff::Timestamp;

use crate::error::Hint;
use crate::events::Event;
use crate::plan::InstanceId;
use crate::registry::{Instance, RegistryError};
use crate::tls::{Authority, Certificate, Folder, Found, Init, Issued, Rotated, TlsError};
use crate::trust::TrustError;

use super::Provisioner;

/// Why a certificate was not made, shown or trusted.
#[derive(Debug, thiserror::Error)]
pub enum CertificatesError {
    /// The registry has no such instance, or cannot be read.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The authority or a leaf cannot be read, made or used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The host's trust store cannot be read or changed.
    #[error(transparent)]
    Trust(#[from] TrustError),
}

impl Hint for CertificatesError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Registry(error) => error.hint(),
            Self::Tls(error) => error.hint(),
            Self::Trust(error) => error.hint(),
        }
    }
}

/// An instance's own authority and the certificates that it issued.
#[derive(Debug)]
pub struct Certificates {
    /// The present authority.
    pub authority: Authority,
    /// Whether the host's trust store has this authority; `false` also when it has an earlier one.
    pub trusted: bool,
    /// The leaves in the instance's folder.
    pub leaves: Vec<Found>,
}

impl Provisioner {
    /// Makes an instance's authority unless it exists.
    ///
    /// # Errors
    /// [`CertificatesError::Registry`] when the registry cannot be read or has no such instance.
    /// [`CertificatesError::Tls`] when the existing files are not this instance's authority, or when the authority
    /// cannot be read, made or written.
    pub fn tls_init(&self, name: &str) -> Result<Init, CertificatesError> {
        Ok(self.certificates_of(name)?.init(Timestamp::now())?)
    }

    /// Issues a certificate for host names below an instance's DNS suffix, valid for `days` days.
    ///
    /// # Errors
    /// [`CertificatesError`]; one error lists all names that are outside of the suffix.
    pub fn tls_issue(&self, name: &str, hosts: &[String], days: u16) -> Result<Issued, CertificatesError> {
        Ok(self.certificates_of(name)?.issue(hosts, days, Timestamp::now())?)
    }

    /// An instance's own authority, the host's trust in it, and its leaves.
    ///
    /// # Errors
    /// [`CertificatesError::Registry`] when the registry cannot be read or has no such instance.
    /// [`CertificatesError::Tls`] when the instance has no authority or its files cannot be read; a leaf that cannot be
    /// read is no error. [`CertificatesError::Trust`] when the host's trust store cannot be read.
    pub fn certificates(&self, name: &str) -> Result<Certificates, CertificatesError> {
        let folder = self.certificates_of(name)?;
        let authority = folder.authority()?;
        let trusted =
            self.trust.trusted(&self.id(name))?.is_some_and(|anchor| anchor == authority.certificate);
        Ok(Certificates { trusted, leaves: folder.leaves(Timestamp::now())?, authority })
    }

    /// Whether the host accepts an authority of this instance, the present one or an earlier one.
    ///
    /// # Errors
    /// [`CertificatesError::Trust`] when the host's trust store cannot be read. The registry is not asked.
    pub fn is_trusted(&self, name: &str) -> Result<bool, CertificatesError> {
        Ok(self.trust.trusted(&self.id(name))?.is_some())
    }

    /// Makes the host accept an instance's authority.
    ///
    /// # Errors
    /// [`CertificatesError`]; the host's trust store is unchanged then.
    pub async fn trust(&self, name: &str) -> Result<Authority, CertificatesError> {
        let authority = self.certificates_of(name)?.authority()?;
        self.accept(name, &authority).await?;
        Ok(authority)
    }

    /// Removes an instance's authority from the host's trust store. Returns whether the store had it.
    ///
    /// # Errors
    /// [`CertificatesError`]; the host's trust store is unchanged then.
    pub async fn untrust(&self, name: &str) -> Result<bool, CertificatesError> {
        self.instance(name)?;
        Ok(self.refuse(name).await?)
    }

    /// Replaces an instance's authority and all certificates that it issued. If the host accepted the old authority, it
    /// accepts the new one in its place.
    ///
    /// # Errors
    /// [`CertificatesError`]. When only the last step fails, `trust` completes the rotation.
    pub async fn rotate(&self, name: &str) -> Result<Rotated, CertificatesError> {
        let rotated = self.certificates_of(name)?.rotate(Timestamp::now())?;
        if self.is_trusted(name)? {
            self.accept(name, &rotated.authority).await?;
        }
        Ok(rotated)
    }

    /// Removes the host's trust, also for an instance that the registry does not know any more.
    pub(super) async fn refuse(&self, name: &str) -> Result<bool, TrustError> {
        let before = self.trust.untrust(self.runner.as_ref(), &self.id(name)).await?;
        self.revoked(name, before.as_deref());
        Ok(before.is_some())
    }

    async fn accept(&self, name: &str, authority: &Authority) -> Result<(), TrustError> {
        let before = self.trust.trust(self.runner.as_ref(), &self.id(name), &authority.certificate).await?;
        self.revoked(name, before.filter(|before| *before != authority.certificate).as_deref());
        let fingerprint = authority.about.fingerprint.clone();
        self.events.publish(Event::CaTrusted { instance: name.to_owned(), fingerprint });
        Ok(())
    }

    fn revoked(&self, name: &str, anchor: Option<&str>) {
        if let Some(fingerprint) = anchor.map(fingerprint) {
            self.events.publish(Event::CaRevoked { instance: name.to_owned(), fingerprint });
        }
    }

    fn certificates_of(&self, name: &str) -> Result<Folder, RegistryError> {
        Ok(Folder::of(&self.home, &self.instance(name)?))
    }

    fn instance(&self, name: &str) -> Result<Instance, RegistryError> {
        self.registry.find(name)?.ok_or_else(|| RegistryError::Unknown { name: name.to_owned() })
    }

    fn id(&self, name: &str) -> InstanceId {
        InstanceId { home: self.home.id(), name: name.to_owned() }
    }
}

/// The fingerprint of an anchor; `unreadable` if the anchor is damaged: other programs can write the file, too.
fn fingerprint(anchor: &str) -> String {
    Certificate::read(anchor).map_or_else(|_| "unreadable".to_owned(), |about| about.fingerprint)
}
