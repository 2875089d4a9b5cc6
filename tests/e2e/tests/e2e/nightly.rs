//! What takes minutes: `make nightly` runs it, `make e2e` does not.

mod failover;
mod matrix;
mod power;
mod several;
