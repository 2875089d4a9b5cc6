//! Virtual machines, made by Vagrant: each client has kernels of its own.

mod hypervisor;
pub mod kvm;
pub mod networks_conf;
