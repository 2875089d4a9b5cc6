//! Where an instance's switch is: that of containers is a bridge in a network namespace of its own, those of virtual
//! machines are bridges on the host.

use provisioner::exec::Command;
use provisioner::fabric::namespace_path;
use provisioner::plan::ClusterPlan;

use super::deeds::command;

/// A bridge, and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Switch {
    /// The namespace; nothing where it is the host's.
    namespace: Option<String>,
    pub(super) bridge: String,
}

impl Switch {
    /// The one that the instance's nodes are plugged into.
    pub(super) fn of(plan: &ClusterPlan) -> Self {
        if plan.engine.is_virtual() {
            return Self { namespace: None, bridge: plan.id.link() };
        }
        Self { namespace: Some(plan.id.scope()), bridge: "br0".to_owned() }
    }

    /// The one by which a hypervisor manages them.
    pub(super) fn management(plan: &ClusterPlan) -> Self {
        Self { namespace: None, bridge: plan.id.management_link() }
    }

    /// A command where it is.
    pub(super) fn there(&self, program: &str, words: &[&str]) -> Command {
        match &self.namespace {
            Some(namespace) => within(namespace, program, words),
            None => command(program, words),
        }
    }

    /// Its namespace, as another one's `ip link` takes it.
    pub(super) fn path(&self) -> String {
        match &self.namespace {
            Some(namespace) => namespace_path(namespace).to_string(),
            None => format!("/proc/{}/ns/net", std::process::id()),
        }
    }
}

/// A command in a network namespace of ours.
pub(super) fn within(namespace: &str, program: &str, words: &[&str]) -> Command {
    let enter = format!("--net={}", namespace_path(namespace));
    command("nsenter", &[&[enter.as_str(), program], words].concat())
}
