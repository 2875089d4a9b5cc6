//! Wire types of `homelab-probe prober` and `homelab-probe witness`: a prober's batch and answers, and a witness's
//! reports, as JSON with one object a line. Those of `homelab-probe walk` are in [`structure`].
//!
//! The harness, which runs both, depends on this library. The library depends on nothing else of homelab.

mod format;
pub mod structure;

pub use format::{
    Answer, Arrival, Ask, Batch, Cast, Credentials, Mac, MacError, NextHop, Nonce, Overlay, Peer, Probe,
    ProbeOutcome, ProbeResult, Sight, WitnessLine,
};

/// Version of the format of all types in this library.
pub const VERSION: u32 = 2;
