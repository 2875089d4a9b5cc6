//! [`Switch`]: the bridge of an instance's network. For containers it is in a network namespace of its own, for VMs it
//! is on the host.

use provisioner::exec::Command;
use provisioner::fabric::namespace_path;
use provisioner::plan::ClusterPlan;

use super::changes::command;

/// A bridge and its network namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Switch {
    /// The name of the network namespace. `None` for the host's.
    namespace: Option<String>,
    pub(super) bridge: String,
}

impl Switch {
    /// The bridge of the instance's nodes.
    pub(super) fn of(plan: &ClusterPlan) -> Self {
        if plan.engine.is_virtual() {
            return Self { namespace: None, bridge: plan.id.link() };
        }
        Self { namespace: Some(plan.id.scope()), bridge: "br0".to_owned() }
    }

    /// The bridge of the instance's management network.
    pub(super) fn management(plan: &ClusterPlan) -> Self {
        Self { namespace: None, bridge: plan.id.management_link() }
    }

    /// A command in the bridge's network namespace.
    pub(super) fn there(&self, program: &str, words: &[&str]) -> Command {
        match &self.namespace {
            Some(namespace) => within(namespace, program, words),
            None => command(program, words),
        }
    }

    /// The path of the bridge's network namespace, for `ip link … netns`.
    pub(super) fn path(&self) -> String {
        match &self.namespace {
            Some(namespace) => namespace_path(namespace).to_string(),
            None => format!("/proc/{}/ns/net", std::process::id()),
        }
    }
}

/// A command in a network namespace of homelab's.
pub(super) fn within(namespace: &str, program: &str, words: &[&str]) -> Command {
    let enter = format!("--net={}", namespace_path(namespace));
    command("nsenter", &[&[enter.as_str(), program], words].concat())
}
