//! What opens an instance's doors, who vouches for it, and who it is.

pub use provisioner::pki::Secret;

/// A client certificate and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The certificate, as PEM.
    pub certificate: String,
    /// Its key, as PEM.
    pub key: Secret,
}

/// What opens an instance's doors; what it does not have is `None`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CredentialSet {
    /// An administrator's certificate; the kubelets accept it too.
    pub administrator: Option<ClientCertificate>,
    /// The certificate that the API server shows to etcd.
    pub etcd: Option<ClientCertificate>,
    /// A token of a service account.
    pub service_account: Option<Secret>,
    /// A token by which a machine says that it wants to join.
    pub bootstrap: Option<Secret>,
}

/// One authority, or one key that vouches for something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority {
    /// What for.
    pub role: AuthorityRole,
    /// SHA-256 of the certificate; a bare key has none.
    pub certificate: Option<String>,
    /// SHA-256 of the public key.
    pub key: String,
    /// The certificate as PEM, to try whether it vouches for another instance.
    pub pem: Option<String>,
}

/// What an authority vouches for.
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
    /// Tokens of service accounts; a key without a certificate.
    ServiceAccounts,
}

impl AuthorityRole {
    /// All that every instance has.
    pub const ALL: [Self; 5] =
        [Self::Cluster, Self::Etcd, Self::FrontProxy, Self::HomeLab, Self::ServiceAccounts];

    /// Its name, as people read it.
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

/// One thing that must be as it was: of an identity, whose links are [`CHAIN`](provisioner::identity::CHAIN), or of an
/// instance whose neighbour was destroyed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Which: `server`.
    pub what: String,
    /// As recorded when the instance came up.
    pub recorded: String,
    /// As found now.
    pub found: String,
}
