//! The Kubernetes versions that can be asked for.

/// The Kubernetes versions that nodes can be made of, the newest first: each has a module of its own below
/// `assets/`, and shares everything else.
pub const KUBERNETES_VERSIONS: [&str; 2] = [KUBERNETES_VERSION, "v1.35.4"];
/// The Kubernetes version of a cluster that does not ask for one.
pub const KUBERNETES_VERSION: &str = "v1.36.3";
