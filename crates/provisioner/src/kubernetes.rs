//! Kubernetes on a node: the paths of kubeadm's files, and kubectl with the credentials in them.
//!
//! All other modules use these constants, so that each path is written once. The layout is kubeadm's own
//! (`cmd/kubeadm/app/constants/constants.go` in Kubernetes).

use crate::exec::{Command, Deadline};

/// The folder of all files below.
pub const FOLDER: &str = "/etc/kubernetes";
/// The kubeconfig of the cluster's administrator.
pub const ADMIN: &str = "/etc/kubernetes/admin.conf";
/// The kubeconfig that kubeadm makes for its own steps: its credentials work before any role is bound.
pub const SUPER_ADMIN: &str = "/etc/kubernetes/super-admin.conf";
/// The folder of certificates and keys.
pub const PKI: &str = "/etc/kubernetes/pki";
/// The certificate of the cluster's authority, which issues the API server's certificate.
pub const CA: &str = "/etc/kubernetes/pki/ca.crt";
/// The key of the cluster's authority.
pub const CA_KEY: &str = "/etc/kubernetes/pki/ca.key";
/// The API server's serving certificate.
pub const SERVING: &str = "/etc/kubernetes/pki/apiserver.crt";
/// The manifest of the API server's static pod.
pub const API_SERVER: &str = "/etc/kubernetes/manifests/kube-apiserver.yaml";
/// Our configuration for `kubeadm init` and `kubeadm join`.
pub const CONFIG: &str = "/etc/kubernetes/kubeadm.yaml";
/// The folder of our patches for kubeadm's manifests.
pub const PATCHES: &str = "/etc/kubernetes/patches";
/// The kubeconfig with which a joining node discovers the cluster.
pub const DISCOVERY: &str = "/etc/kubernetes/discovery.conf";
/// The kubeconfig of the node's kubelet.
pub const KUBELET: &str = "/etc/kubernetes/kubelet.conf";
/// Our configuration for `kubeadm certs renew`.
pub const RENEWAL: &str = "/etc/kubernetes/renewal.yaml";
/// The Helm values for Cilium's chart.
pub const CILIUM_VALUES: &str = "/etc/kubernetes/cilium-values.yaml";

/// `kubectl` on a control plane with the credentials of kubeadm's own steps.
pub fn kubectl(within: impl Into<Deadline>) -> Command {
    Command::within(within, "kubectl").args(["--kubeconfig", SUPER_ADMIN])
}

/// `kubectl` on a control plane as the cluster's administrator.
pub fn kubectl_as_admin(within: impl Into<Deadline>) -> Command {
    Command::within(within, "kubectl").args(["--kubeconfig", ADMIN])
}
