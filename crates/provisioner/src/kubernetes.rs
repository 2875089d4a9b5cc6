//! Kubernetes on a node: where kubeadm keeps its files, and kubectl with the credentials in them.
//!
//! Every other module asks here, so that a path is spelled once. The layout is kubeadm's own
//! (`cmd/kubeadm/app/constants/constants.go` in Kubernetes).

use crate::exec::{Command, Deadline};

/// The folder of everything below.
pub const FOLDER: &str = "/etc/kubernetes";
/// The kubeconfig of the cluster's administrator.
pub const ADMIN: &str = "/etc/kubernetes/admin.conf";
/// The credentials that kubeadm makes for its own steps: they work before any role is bound.
pub const SUPER_ADMIN: &str = "/etc/kubernetes/super-admin.conf";
/// The folder of certificates and keys.
pub const PKI: &str = "/etc/kubernetes/pki";
/// The certificate of the cluster's authority, which vouches for the API server.
pub const CA: &str = "/etc/kubernetes/pki/ca.crt";
/// The key of the cluster's authority.
pub const CA_KEY: &str = "/etc/kubernetes/pki/ca.key";
/// The API server's own certificate.
pub const SERVING: &str = "/etc/kubernetes/pki/apiserver.crt";
/// The API server's static pod.
pub const API_SERVER: &str = "/etc/kubernetes/manifests/kube-apiserver.yaml";
/// The configuration that we hand to kubeadm.
pub const CONFIG: &str = "/etc/kubernetes/kubeadm.yaml";
/// The folder of our patches of kubeadm's manifests.
pub const PATCHES: &str = "/etc/kubernetes/patches";
/// The kubeconfig that a joining node finds the cluster with.
pub const DISCOVERY: &str = "/etc/kubernetes/discovery.conf";
/// The kubeconfig by which a node's kubelet is known.
pub const KUBELET: &str = "/etc/kubernetes/kubelet.conf";
/// What `kubeadm certs renew` is told.
pub const RENEWAL: &str = "/etc/kubernetes/renewal.yaml";
/// The values that Cilium's chart is rendered with.
pub const CILIUM_VALUES: &str = "/etc/kubernetes/cilium-values.yaml";

/// `kubectl` on a control plane with the credentials of kubeadm's own steps.
pub fn kubectl(within: impl Into<Deadline>) -> Command {
    Command::within(within, "kubectl").args(["--kubeconfig", SUPER_ADMIN])
}

/// `kubectl` on a control plane as the cluster's administrator.
pub fn kubectl_as_admin(within: impl Into<Deadline>) -> Command {
    Command::within(within, "kubectl").args(["--kubeconfig", ADMIN])
}
