//! A cluster's set of authorities and its key for service accounts.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;

use camino::Utf8Path;
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};

use crate::files::{FileError, failed};
use crate::home::Home;
use crate::kubernetes::PKI;
use crate::node::File;

use super::{Authority, PkiError, Secret};

/// The authorities and keys that must exist before kubeadm issues the first certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    /// Signs the certificates of the API server, kubelets and users.
    pub cluster: Authority,
    /// Signs the certificates of etcd's members and clients.
    pub etcd: Authority,
    /// Signs the certificate of the aggregation layer's proxy.
    pub front_proxy: Authority,
    /// The private key that signs tokens of service accounts, PEM.
    pub service_account_key: Secret,
    /// The public key that verifies these tokens, PEM.
    pub service_account_public: String,
}

impl Bundle {
    /// Makes a set for an instance.
    ///
    /// # Errors
    /// [`PkiError::Make`] when a key cannot be generated or a certificate cannot be signed.
    pub fn make(instance: &str) -> Result<Self, PkiError> {
        let what = format!("the service account key of '{instance}'");
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)
            .map_err(|source| PkiError::Make { what, source })?;
        Ok(Self {
            cluster: Authority::make(&format!("{instance} kubernetes"))?,
            etcd: Authority::make(&format!("{instance} etcd"))?,
            front_proxy: Authority::make(&format!("{instance} front-proxy"))?,
            service_account_public: key.public_key_pem(),
            service_account_key: Secret::new(key.serialize_pem()),
        })
    }

    /// Reads the set in an instance's folder, or makes it there.
    ///
    /// # Errors
    /// [`PkiError`]. A set that was not written completely is made again by the next call.
    pub fn in_folder(home: &Home, instance: &str) -> Result<Self, PkiError> {
        let folder = home.instance(instance).join("pki");
        if folder.join("sa.key").exists() {
            return Self::read(&folder);
        }
        let bundle = Self::make(instance)?;
        home.create_dir(&folder).map_err(failed("make", &folder))?;
        for (name, mode, contents) in bundle.files() {
            let path = folder.join(name);
            home.create_dir(path.parent().unwrap_or(&folder)).map_err(failed("make", &path))?;
            write(&path, mode, contents).map_err(failed("write", &path))?;
            home.adopt(&path).map_err(failed("change the owner of", &path))?;
        }
        Ok(bundle)
    }

    /// Reads the set in an instance's folder, which must exist.
    ///
    /// # Errors
    /// [`PkiError::File`] when one of its files cannot be read.
    pub fn kept(home: &Home, instance: &str) -> Result<Self, PkiError> {
        Self::read(&home.instance(instance).join("pki"))
    }

    fn read(folder: &Utf8Path) -> Result<Self, PkiError> {
        let text = |name: &str| -> Result<String, FileError> {
            let path = folder.join(name);
            fs::read_to_string(&path).map_err(failed("read", &path))
        };
        let authority = |name: &str| -> Result<Authority, FileError> {
            Ok(Authority {
                certificate: text(&format!("{name}.crt"))?,
                key: Secret::new(text(&format!("{name}.key"))?),
            })
        };
        Ok(Self {
            cluster: authority("ca")?,
            etcd: authority("etcd/ca")?,
            front_proxy: authority("front-proxy-ca")?,
            service_account_key: Secret::new(text("sa.key")?),
            service_account_public: text("sa.pub")?,
        })
    }

    /// Name, mode and contents of each file, with the names that kubeadm expects. `sa.key` is written last: its
    /// presence means that the set is complete.
    fn files(&self) -> [(&'static str, u32, &str); 8] {
        [
            ("ca.crt", 0o644, &self.cluster.certificate),
            ("ca.key", 0o600, self.cluster.key.reveal()),
            ("etcd/ca.crt", 0o644, &self.etcd.certificate),
            ("etcd/ca.key", 0o600, self.etcd.key.reveal()),
            ("front-proxy-ca.crt", 0o644, &self.front_proxy.certificate),
            ("front-proxy-ca.key", 0o600, self.front_proxy.key.reveal()),
            ("sa.pub", 0o644, &self.service_account_public),
            ("sa.key", 0o600, self.service_account_key.reveal()),
        ]
    }

    /// The files for a control plane node.
    pub fn on_node(&self) -> Vec<File> {
        let files = self.files().into_iter();
        files
            .map(|(name, mode, contents)| File {
                path: format!("{PKI}/{name}"),
                mode,
                contents: contents.into(),
            })
            .collect()
    }
}

fn write(path: &Utf8Path, mode: u32, contents: &str) -> io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(path)?;
    file.write_all(contents.as_bytes())
}
