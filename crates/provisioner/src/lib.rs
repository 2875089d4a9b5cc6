//! One cluster: from a wish to a kubeconfig, and back to nothing.

pub mod assets;
pub mod exec;
pub mod error;
pub mod events;
