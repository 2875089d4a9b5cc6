//! Tests of the real binary on loopback: witnesses and probers as processes, as they run in a pod.

#![expect(clippy::unwrap_used, reason = "in tests, its helpers included, a panic is the failure")]

mod run;
mod wire;
mod answers;
mod bounds;
mod servers;
