//! A file for each verb: its options, its calls into the libraries, its output.

pub(crate) mod doctor;
pub(crate) mod up;
mod engine;
pub(crate) mod power;
pub(crate) mod down;
pub(crate) mod instance;
pub(crate) mod status;
pub(crate) mod watch;
pub(crate) mod events;
pub(crate) mod k8s;
pub(crate) mod kubectl;
pub(crate) mod tls;
pub(crate) mod dns;
pub(crate) mod audit;
pub(crate) mod reap;
pub(crate) mod assets;
pub(crate) mod demo;
pub(crate) mod completions;
pub(crate) mod help;
