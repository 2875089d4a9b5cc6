//! Tests of the library's public API without root and without a cluster: one module for each noun of `provisioner`.

#![expect(clippy::unwrap_used, reason = "a test that cannot continue fails, also in its helpers")]

mod given;
mod server;

mod settings;
mod request;
mod structure;
mod drawn;
mod docs;
mod capacity;
mod plan;
mod registry;
mod owner;
mod events;
mod identity;
mod engine;
mod tls;
mod trust;
mod dns;
mod kubeconfig;
mod files;
mod matrix;
mod provision;
mod homes;
mod fixture;
mod exec;
