//! End-to-end tests on real clusters. They need root, podman and the node image: `make e2e`.

mod audit;
mod capture;
mod claims;
mod engine;
mod faults;
mod files;
mod guard;
mod ha;
mod homes;
mod hostile;
mod hosts;
mod interrupt;
mod isolation;
mod lifecycle;
mod names;
mod network;
mod nightly;
mod operator;
mod page;
mod policy;
mod probe;
mod resilience;
mod self_test;
mod vagrant;
mod web;
mod workers;
