//! The part of the audit that touches clusters: witnesses and probers come to be, ask, are heard, and go.
//!
//! [`Stage`] is all that a run puts into one instance: a namespace of its own, gone with everything in it at the
//! end. Each viewpoint asks its whole batch by one exec.

mod manifest;
mod stage;
mod token;
mod ask;
mod learn;
mod workstation;
mod conduct;

pub use conduct::{AuditError, audit};
pub use stage::{Stage, StageError};
pub use workstation::WorkstationError;
