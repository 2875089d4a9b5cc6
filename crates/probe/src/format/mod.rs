//! The format: what a batch, an answer and a report consist of. `ask` has the questions, and `count` the number of
//! packets that each of them needs.

mod nonce;
mod mac;
mod ask;
mod count;
mod answer;
mod report;

pub use answer::{Answer, ProbeOutcome, ProbeResult};
pub use ask::{Ask, Batch, Credentials, NextHop, Overlay, Probe, Sight};
pub use mac::{Mac, MacError};
pub use nonce::Nonce;
pub use report::{Arrival, Cast, Peer, WitnessLine};
