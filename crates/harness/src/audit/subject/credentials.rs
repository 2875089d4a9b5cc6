//! An instance's credentials, authorities and identity.

pub use provisioner::pki::Secret;

/// A client certificate and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The certificate, as PEM.
    pub certificate: String,
    /// Its key, as PEM.
    pub key: Secret,
}

/// A client certificate that a user or a server of an instance has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownCertificate {
    /// The authority that signed it. `None` for an authority that is not the instance's own.
    pub signer: Option<AuthorityRole>,
    /// The certificate and its key.
    pub shown: ClientCertificate,
}

/// Credentials for an instance's API server, etcd and kubelets. A missing credential is `None`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CredentialSet {
    /// An administrator's client certificate, which the kubelets accept too.
    pub administrator: Option<ClientCertificate>,
    /// All client certificates on the instance's nodes, each once. `None` if they could not be read.
    pub certificates: Option<Vec<KnownCertificate>>,
    /// A service-account token.
    pub service_account: Option<Secret>,
    /// A bootstrap token, with which a node can join the cluster.
    pub bootstrap: Option<Secret>,
}

impl CredentialSet {
    /// The first client certificate that an authority has signed.
    pub fn signed_by(&self, signer: AuthorityRole) -> Option<&ClientCertificate> {
        let mut all = self.certificates.iter().flatten();
        all.find(|known| known.signer == Some(signer)).map(|known| &known.shown)
    }
}

/// One certificate authority, or one signing key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownAuthority {
    /// What it signs.
    pub role: AuthorityRole,
    /// SHA-256 of the certificate; `None` for a key without a certificate.
    pub certificate: Option<String>,
    /// SHA-256 of the public key.
    pub key: String,
    /// The certificate as PEM, to test whether another instance's servers verify with it.
    pub pem: Option<String>,
}

/// What an authority signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AuthorityRole {
    /// The API server and its clients.
    Cluster,
    /// etcd and its clients.
    Etcd,
    /// The front proxy of aggregated APIs.
    FrontProxy,
    /// `HomeLab CA - <instance>`.
    HomeLab,
    /// Service-account tokens. This is a key without a certificate.
    ServiceAccounts,
}

impl AuthorityRole {
    /// The authorities that every instance has.
    pub const ALL: [Self; 5] =
        [Self::Cluster, Self::Etcd, Self::FrontProxy, Self::HomeLab, Self::ServiceAccounts];

    /// Its name in messages: `cluster CA`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cluster => "cluster CA",
            Self::Etcd => "etcd CA",
            Self::FrontProxy => "front-proxy CA",
            Self::HomeLab => "HomeLab CA",
            Self::ServiceAccounts => "service-account key",
        }
    }
}

/// A property that must not change: of an identity, whose properties are [`CHAIN`](provisioner::identity::CHAIN), or of
/// an instance while another one is destroyed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Property {
    /// Its name: `server`.
    pub what: String,
    /// The value at the creation of the instance, or before the destruction of the other.
    pub recorded: String,
    /// The value now.
    pub found: String,
}
