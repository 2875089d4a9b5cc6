//! What takes minutes: `make nightly` runs it, `make e2e` does not.

mod certificates;
mod failover;
mod kills;
mod matrix;
mod power;
mod several;
