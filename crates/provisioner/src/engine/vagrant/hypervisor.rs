//! What differs between the hypervisors that Vagrant drives.
//!
//! Vagrant makes machines and takes them away; what it leaves open, and what it forgets, is seen to here. A hypervisor is
//! asked by its own tools, never by Vagrant's records: those of a killed `vagrant up` are wrong.

use std::fmt::Debug;

use futures::future::BoxFuture;

use crate::assets::NodeBox;
use crate::plan::{ClusterPlan, InstanceId, NodePlan};
use crate::spec::Provider;

use super::super::{EngineError, Lack};
use crate::plan::Power;
use crate::sighting::Sighting;

/// A hypervisor, as far as it is not Vagrant's business.
///
/// Machines are known by their names on the host, [`InstanceId::node_scope`].
pub(super) trait Hypervisor: Debug + Send + Sync {
    /// Which one.
    fn provider(&self) -> Provider;

    /// Whether it translates a machine's instructions, for want of hardware virtualisation.
    fn is_emulated(&self) -> bool;

    /// Everything that this host lacks for it, all at once.
    fn preflight(&self) -> BoxFuture<'_, Vec<Lack>>;

    /// The lines of a Vagrantfile that are the same for all nodes of a plan, within `Vagrant.configure`. Pure.
    fn configure(&self, plan: &ClusterPlan) -> String;

    /// The lines of a Vagrantfile for one node, within `config.vm.define … do |node|`: its networks, its size. Pure.
    fn configure_node(&self, plan: &ClusterPlan, node: &NodePlan) -> String;

    /// Makes what has to be there before a machine runs: networks, sealed from their first moment. May be repeated.
    fn prepare<'a>(&'a self, plan: &'a ClusterPlan) -> BoxFuture<'a, Result<(), EngineError>>;

    /// Puts a box's disk where the machines grow from it, as far as Vagrant does not do so well enough; comes after
    /// [`Hypervisor::prepare`]. May be repeated.
    fn keep<'a>(&'a self, image: &'a NodeBox) -> BoxFuture<'a, Result<(), EngineError>>;

    /// Closes what was open as long as Vagrant provisioned: afterwards a machine has no way but into its own networks.
    /// May be repeated.
    fn seal<'a>(&'a self, plan: &'a ClusterPlan) -> BoxFuture<'a, Result<(), EngineError>>;

    /// All machines that carry the prefix of a home, running or not.
    fn machines<'a>(&'a self, home: &'a str) -> BoxFuture<'a, Result<Vec<Machine>, EngineError>>;

    /// Has one machine do what it is told; nothing where it does so already.
    fn power<'a>(&'a self, machine: &'a Machine, power: Power) -> BoxFuture<'a, Result<(), EngineError>>;

    /// Takes away one machine with its disks, whatever Vagrant knows of it.
    fn remove<'a>(&'a self, machine: &'a str) -> BoxFuture<'a, Result<(), EngineError>>;

    /// Takes away what an instance has beside its machines: networks, adapters, disks of machines that are gone. Says
    /// whether there was anything.
    fn clear<'a>(&'a self, id: &'a InstanceId) -> BoxFuture<'a, Result<bool, EngineError>>;

    /// Everything that the host has of a home's instances, machines included.
    fn sightings<'a>(&'a self, home: &'a str) -> BoxFuture<'a, Result<Vec<Sighting>, EngineError>>;
}

/// A virtual machine that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Machine {
    /// Its name on the host, [`InstanceId::node_scope`].
    pub(super) name: String,
    /// Whether it runs.
    pub(super) state: MachineState,
}

/// How far a machine is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MachineState {
    /// It runs.
    Running,
    /// It keeps its memory and gets no processor, or its memory is on the disk.
    Paused,
    /// It is off.
    Off,
}
