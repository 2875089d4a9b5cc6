//! Tests that take minutes: `make nightly` runs them, `make e2e` does not.

mod campaign;
mod certificates;
mod failover;
mod kills;
mod matrix;
mod pages;
mod power;
mod several;
