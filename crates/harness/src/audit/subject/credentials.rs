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

/// Credentials for an instance's API server, etcd and kubelets. A missing credential is `None`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CredentialSet {
    /// An administrator's client certificate, which the kubelets accept too.
    pub administrator: Option<ClientCertificate>,
    /// The client certificate that the API server presents to etcd.
    pub etcd: Option<ClientCertificate>,
    /// A service-account token.
    pub service_account: Option<Secret>,
    /// A bootstrap token, with which a node can join the cluster.
    pub bootstrap: Option<Secret>,
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
