//! Who a cluster is, as recorded when it came up.

use serde::{Deserialize, Serialize};

/// What tells a cluster from all others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Identity {
    /// Where its API server answers, as in its kubeconfig.
    pub server: String,
    /// SHA-256 of the certificate that vouches for the API server.
    pub authority: String,
    /// The UID of namespace `kube-system`.
    pub uid: String,
}
