//! Creates, changes and destroys one cluster: from a specification to a kubeconfig, and back to nothing.
//!
//! The flow, in the order in which things happen:
//!
//! 1. [`spec`]: what is asked for; the check reports all problems at once.
//!    [`capacity`]: whether the host has the memory and the processors for it.
//! 2. [`registry`]: records the instance on disk before anything of it exists; [`plan`] decides which networks,
//!    addresses and names the new entry gets.
//! 3. [`dns`]: the instance's names resolve on the host; a conflict ends the creation here.
//! 4. [`assets`]: the node image, built from pinned modules and cached by the digest of its inputs.
//! 5. [`engine`]: creates the nodes, on the networks of [`fabric`]. A [`node`] runs commands; the types of [`bring_up`]
//!    say how far the nodes are.
//! 6. [`cni`]: the pod network.
//! 7. [`pki`]: the cluster's certificate authorities; [`kubeadm`]: the nodes become a cluster.
//! 8. [`tls`]: the instance's own authority, for servers below its DNS suffix; [`trust`]: the host accepts it.
//! 9. [`kubeconfig`]: access to the cluster; [`identity`]: whether the cluster is the recorded one.
//!
//! [`provision`] runs these steps in order, and destroys what they made. [`watch`] restores the host guard when it is
//! changed. Only [`exec`] starts processes. [`events`] records what happens; [`error`] renders an error with its
//! causes; [`slowdown`] stretches deadlines. [`home`] knows the paths, [`settings`] reads the user's settings, and
//! [`files`] reads, replaces and locks files.

pub mod home;
pub mod files;
pub mod settings;
pub mod request;
pub mod capacity;
pub mod registry;
pub mod plan;
pub mod dns;
pub mod assets;
pub mod fabric;
pub mod engine;
pub mod node;
pub mod bring_up;
pub mod kubernetes;
pub mod cni;
pub mod pki;
pub mod kubeadm;
pub mod tls;
pub mod trust;
pub mod kubeconfig;
pub mod identity;
pub mod provision;
pub mod watch;
pub mod error;
pub mod stage;
pub mod sighting;
pub mod events;
pub mod exec;
pub mod slowdown;
mod digest;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;

pub use provision::{
    AttachError, Certificates, CertificatesError, Change, Cluster, Dated, DatedKind, DestroyError, Drain,
    InUseError, Names, NamesChange, NamesError, NamesState, PowerError, ProvisionError, Provisioner,
    ReapError, Reaped, Reaping, ReleaseError, Removed, RenewError, Residue, Spared, StageError, Synced,
    WorkersError,
};
