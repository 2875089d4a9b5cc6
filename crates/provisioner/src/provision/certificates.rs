//! An instance's certificates: its own authority, what that issues, and whether the host accepts it.

use jiff::Timestamp;

use crate::error::Hint;
use crate::events::Event;
use crate::plan::InstanceId;
use crate::registry::{Instance, RegistryError};
use crate::tls::{Authority, Certificate, Folder, Found, Init, Issued, Rotated, TlsError};
use crate::trust::TrustError;

use super::Provisioner;

/// Why a certificate is not made, shown or trusted.
#[derive(Debug, thiserror::Error)]
pub enum CertificatesError {
    /// There is no such instance, or nobody can know.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The authority, or a leaf.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The host's trust store.
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

/// All certificates of an instance.
#[derive(Debug)]
pub struct Certificates {
    /// Its authority.
    pub authority: Authority,
    /// Whether the host accepts it.
    pub trusted: bool,
    /// What it issued.
    pub leaves: Vec<Found>,
}

impl Provisioner {
    /// Makes an instance's authority unless it is there.
    ///
    /// # Errors
    /// [`CertificatesError`].
    pub fn tls_init(&self, name: &str) -> Result<Init, CertificatesError> {
        Ok(self.certificates_of(name)?.init(Timestamp::now())?)
    }

    /// Issues a certificate for hosts below an instance's DNS suffix, for so many days.
    ///
    /// # Errors
    /// [`CertificatesError`]; names outside of the suffix are refused, all at once.
    pub fn tls_issue(&self, name: &str, hosts: &[String], days: u16) -> Result<Issued, CertificatesError> {
        Ok(self.certificates_of(name)?.issue(hosts, days, Timestamp::now())?)
    }

    /// All certificates of an instance.
    ///
    /// # Errors
    /// [`CertificatesError`].
    pub fn certificates(&self, name: &str) -> Result<Certificates, CertificatesError> {
        let folder = self.certificates_of(name)?;
        let authority = folder.authority()?;
        let trusted =
            self.trust.trusted(&self.id(name))?.is_some_and(|anchor| anchor == authority.certificate);
        Ok(Certificates { trusted, leaves: folder.leaves(Timestamp::now())?, authority })
    }

    /// Whether the host accepts an authority of this instance, be it the present one or an earlier one.
    ///
    /// # Errors
    /// [`CertificatesError`].
    pub fn is_trusted(&self, name: &str) -> Result<bool, CertificatesError> {
        Ok(self.trust.trusted(&self.id(name))?.is_some())
    }

    /// Makes the host accept an instance's authority.
    ///
    /// # Errors
    /// [`CertificatesError`]; the host's trust is as it was then.
    pub async fn trust(&self, name: &str) -> Result<Authority, CertificatesError> {
        let authority = self.certificates_of(name)?.authority()?;
        self.accept(name, &authority).await?;
        Ok(authority)
    }

    /// Makes the host accept an instance's authority no longer: says whether it did.
    ///
    /// # Errors
    /// [`CertificatesError`]; the host's trust is as it was then.
    pub async fn untrust(&self, name: &str) -> Result<bool, CertificatesError> {
        self.instance(name)?;
        Ok(self.refuse(name).await?)
    }

    /// Replaces an instance's authority and everything that it issued. Where the host accepted the old one, it
    /// accepts the new one in its place.
    ///
    /// # Errors
    /// [`CertificatesError`]. When only the last step fails, `trust` makes up for it.
    pub async fn rotate(&self, name: &str) -> Result<Rotated, CertificatesError> {
        let rotated = self.certificates_of(name)?.rotate(Timestamp::now())?;
        if self.is_trusted(name)? {
            self.accept(name, &rotated.authority).await?;
        }
        Ok(rotated)
    }

    /// Takes back the host's trust, whether or not the registry still knows the instance.
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

/// An anchor is ours to write and anybody's to damage.
fn fingerprint(anchor: &str) -> String {
    Certificate::read(anchor).map_or_else(|_| "unreadable".to_owned(), |about| about.fingerprint)
}
