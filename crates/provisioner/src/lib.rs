//! One cluster: from a wish to a kubeconfig, and back to nothing.
//!
//! The flow, in the order in which things happen:
//!
//! 1. [`spec`]: what is asked for, every problem reported at once.
//!    [`capacity`]: whether the machine has room for it.
//! 2. [`registry`]: recorded on disk before anything exists; [`plan`] decides what the new entry gets.
//! 3. [`dns`]: its names resolve on the workstation, or it ends here.
//! 4. [`assets`]: the node image, built from pinned modules and cached by the digest of its inputs.
//! 5. [`engine`]: nodes come to exist, on the wires of [`fabric`]. A [`node`] runs commands;
//!    [`bring_up`] says in types how far nodes are.
//! 6. [`cni`]: pods get a network.
//! 7. [`pki`]: who vouches for whom; [`kubeadm`]: nodes become a cluster.
//! 8. [`tls`]: the instance's own authority, for servers below its DNS suffix; [`trust`]: the host accepts it.
//! 9. [`kubeconfig`]: the cluster can be reached; [`identity`]: and it is the one that is meant.
//!
//! [`provision`] strings these together and takes everything away again; [`watch`] puts back what others change on the
//! host. [`exec`] is the only place that starts a process; [`events`] says what happens; [`error`] tells an error with its
//! causes; [`slowdown`] stretches deadlines; [`home`] says where things are, [`settings`] what its user has set, and [`files`] is how files are read,
//! replaced and locked.

pub mod home;
pub mod files;
pub mod settings;
pub mod spec;
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
