//! The differences between the hypervisors that Vagrant drives.
//!
//! Vagrant makes and removes VMs. A [`Hypervisor`] closes the ways out that Vagrant leaves open, and finds the VMs that
//! Vagrant forgets. It asks the hypervisor's own tools and never Vagrant's records, which are wrong after a killed
//! `vagrant up`.

use std::fmt::Debug;

use futures::future::BoxFuture;

use crate::assets::NodeBox;
use crate::plan::{ClusterPlan, InstanceId, NodePlan};
use crate::request::Provider;

use super::super::{EngineError, MissingRequirement};
use crate::plan::Power;
use crate::sighting::Sighting;

/// A hypervisor: the parts of the work that Vagrant does not do.
///
/// VMs are known by their names on the host, [`InstanceId::node_scope`].
pub(super) trait Hypervisor: Debug + Send + Sync {
    /// Its name in Vagrant and in specs.
    fn provider(&self) -> Provider;

    /// Whether it emulates the processor of VMs, because the host has no hardware virtualisation.
    fn is_emulated(&self) -> bool;

    /// All requirements of the hypervisor that this host does not meet.
    fn preflight(&self) -> BoxFuture<'_, Vec<MissingRequirement>>;

    /// The lines of a Vagrantfile that are the same for all nodes of a plan, within `Vagrant.configure`. Pure.
    fn configure(&self, plan: &ClusterPlan) -> String;

    /// The lines of a Vagrantfile for one node, within `config.vm.define … do |node|`: its networks, its size. Pure.
    fn configure_node(&self, plan: &ClusterPlan, node: &NodePlan) -> String;

    /// Makes what VMs need before they run, above all the instance's networks, which are guarded before they carry the
    /// first packet. May be repeated.
    fn prepare<'a>(&'a self, plan: &'a ClusterPlan) -> BoxFuture<'a, Result<(), EngineError>>;

    /// Stores a box's disk where the disks of VMs are based on it, unless Vagrant does so safely. Called after
    /// [`Hypervisor::prepare`]. May be repeated.
    fn keep<'a>(&'a self, image: &'a NodeBox) -> BoxFuture<'a, Result<(), EngineError>>;

    /// Closes the ways out that a VM needed while Vagrant provisioned it. Afterwards a VM reaches its own networks
    /// only. May be repeated.
    fn seal<'a>(&'a self, plan: &'a ClusterPlan) -> BoxFuture<'a, Result<(), EngineError>>;

    /// All VMs whose names begin with the prefix of a home, running or not.
    fn vms<'a>(&'a self, home: &'a str) -> BoxFuture<'a, Result<Vec<Vm>, EngineError>>;

    /// Pauses, resumes, halts or starts one VM. Does nothing if the VM is in that state already.
    fn power<'a>(&'a self, vm: &'a Vm, power: Power) -> BoxFuture<'a, Result<(), EngineError>>;

    /// Removes one VM with its disks, also if Vagrant does not know it.
    fn remove<'a>(&'a self, vm: &'a str) -> BoxFuture<'a, Result<(), EngineError>>;

    /// Removes the parts of an instance that are not VMs: networks, adapters, and disks of VMs that are gone. Returns
    /// whether there were any.
    fn clear<'a>(&'a self, id: &'a InstanceId) -> BoxFuture<'a, Result<bool, EngineError>>;

    /// Everything that the host has of a home's instances, including VMs.
    fn sightings<'a>(&'a self, home: &'a str) -> BoxFuture<'a, Result<Vec<Sighting>, EngineError>>;
}

/// An existing VM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Vm {
    /// Its name on the host, [`InstanceId::node_scope`].
    pub(super) name: String,
    pub(super) state: VmState,
}

/// The state of a VM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum VmState {
    /// It runs.
    Running,
    /// It is stopped and keeps its memory, in RAM or saved on the disk.
    Paused,
    /// It is off.
    Off,
}
