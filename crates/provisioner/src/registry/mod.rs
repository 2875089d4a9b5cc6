//! The registry: a write-ahead ledger of a home's instances.
//!
//! The ledger records an instance before anything of it exists, and removes the entry after everything of it is gone.
//! So a crash at any moment leaves an entry that says what to clean up. The registry knows no engine. Next in the flow:
//! `plan` decides which names and networks a new instance gets, while the ledger is locked.

mod error;
mod identity;
mod instance;
mod keeper;
mod operation;
mod owner;
mod observed;
mod workers;
mod migrate;
mod ledger;
mod store;
mod claim;
mod neighbours;

pub use claim::Registry;
pub use error::{ChangeError, RegistryError};
pub use identity::Identity;
pub use instance::{Distribution, Instance, K8s, Owner, OwnerLock, State};
pub use keeper::{Abandoned, Keeper, Need};
pub use ledger::Entry;
pub use neighbours::{Neighbour, Neighbours};
pub use observed::ObservedState;
pub(crate) use observed::this_boot;
pub use operation::{Operation, OperationKind};
pub use owner::{Liveness, UnknownLiveness};
pub use workers::{NoWorker, Workers};
