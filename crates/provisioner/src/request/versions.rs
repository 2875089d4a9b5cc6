//! The supported Kubernetes versions.

/// The Kubernetes versions that nodes can run, the newest first. Each has a Go module below `assets/`; everything else
/// is shared.
pub const KUBERNETES_VERSIONS: [&str; 2] = [KUBERNETES_VERSION, "v1.35.4"];
/// The default Kubernetes version: the newest.
pub const KUBERNETES_VERSION: &str = "v1.36.3";
