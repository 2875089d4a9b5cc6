//! The keys that an instance's servers trust: every block of every file that a flag of a running server names.

/// What all servers of an instance trust.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Trust {
    /// The trusted keys.
    pub anchors: Vec<TrustAnchor>,
    /// Settings that admit clients in a way that homelab does not plan, a sentence each:
    /// `kube-apiserver of acme-cp-1 runs with --token-auth-file`.
    pub unplanned: Vec<String>,
    /// What could not be read, a sentence each. Not empty: nothing is known of what these files trust.
    pub unread: Vec<String>,
}

/// One key that one server trusts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustAnchor {
    /// The node's name.
    pub node: String,
    /// The server's program: `kube-apiserver`.
    pub server: String,
    /// The flag, or the setting of the kubelet: `client-ca-file`, `clientCAFile`.
    pub setting: String,
    /// The file that it names, as the server sees it.
    pub file: String,
    /// The number of the PEM block in the file, from 1.
    pub block: usize,
    /// SHA-256 of the public key (`SubjectPublicKeyInfo`).
    pub key: String,
}
