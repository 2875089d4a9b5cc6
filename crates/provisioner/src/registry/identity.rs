//! The identity of a cluster, recorded when the cluster came up.

use serde::{Deserialize, Serialize};

/// The identity of a cluster: no two clusters have all three values in common.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Identity {
    /// The URL of its API server, as in its kubeconfig, such as `https://192.168.60.10:6443`.
    pub server: String,
    /// The SHA-256 of the cluster authority's certificate, which the API server's certificate is verified against.
    pub authority: String,
    /// The UID of namespace `kube-system`.
    pub uid: String,
}
