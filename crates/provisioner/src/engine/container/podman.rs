//! podman's commands, and the parts of its answers that the engine reads. Making a command is pure.

use std::collections::HashMap;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use serde::Deserialize;

use crate::assets::NodeImage;
use crate::capacity::NodeLimits;
use crate::exec::{Command, ENVIRONMENT};
use crate::fabric;
use crate::plan::{ClusterPlan, NodePlan, Power};

use super::{confinement, folder, hook};

/// The label of all homelab containers. Its value is the home's id.
pub(super) const HOME_LABEL: &str = "homelab.home";
/// The label with the name of the instance that a node belongs to.
pub(super) const INSTANCE_LABEL: &str = "homelab.instance";

/// A container in the answer of `podman ps --format json`, with the fields that are used.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Container {
    pub(super) id: String,
    pub(super) names: Vec<String>,
    pub(super) pid: u32,
    pub(super) state: String,
    #[serde(default)]
    pub(super) labels: HashMap<String, String>,
}

/// A container in the answer of `podman container inspect`, with the fields that are used.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Inspected {
    pub(super) name: String,
    #[serde(default)]
    pub(super) mounts: Vec<Mount>,
}

/// A volume of a container.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Mount {
    /// Its path on the host, spelled as when the container was made.
    #[serde(default)]
    pub(super) source: Utf8PathBuf,
}

/// The podman command that changes the power of a container in this state; `None` when nothing needs to be done, or
/// nothing can be.
pub(super) fn verb(power: Power, state: &str) -> Option<&'static [&'static str]> {
    match (power, state) {
        (Power::Pause, "running") => Some(&["pause"]),
        (Power::Resume, "paused") => Some(&["unpause"]),
        // podman sends SIGTERM, and SIGKILL after these 10 s (podman-stop(1)). runsvdir, the node's first process, ends
        // at once on SIGTERM; it would stop its services first on SIGHUP (runsvdir(8)).
        (Power::Halt, "running") => Some(&["stop", "--time", "10"]),
        (Power::Start, "exited" | "created" | "stopped") => Some(&["start"]),
        _ => None,
    }
}

/// podman on this host, with a deadline in seconds. A `remote = true` in a containers.conf has no effect.
pub(super) fn podman(seconds: u64) -> Command {
    Command::within(Duration::from_secs(seconds), "podman").arg("--remote=false")
}

pub(super) fn node_folder(instance: &Utf8Path, node: &str) -> Utf8PathBuf {
    instance.join("nodes").join(node)
}

/// podman with the folder of the node's hooks, if it has any. podman has to be told the folder at every start.
pub(super) fn hooked(plan: &ClusterPlan, node: &NodePlan, folder: &Utf8Path) -> Command {
    match hook::folder(plan, node, folder) {
        Some(hooks) => podman(60).args(["--hooks-dir", hooks.as_str()]),
        None => podman(60),
    }
}

/// `podman run` for a node. The node sees the folders `overlaid` of the image through its own overlays. Pure.
pub(super) fn run(
    plan: &ClusterPlan,
    node: &NodePlan,
    image: &NodeImage,
    folder: &Utf8Path,
    overlaid: &[String],
    limits: NodeLimits,
) -> Command {
    let scope = plan.id.node_scope(&node.name);
    let overlays = overlaid.iter().flat_map(|name| {
        let [upper, work] = folder::overlay(folder, name);
        let volume = format!("{}:/{name}:O,upperdir={upper},workdir={work}", image.root.join(name));
        ["--volume".to_owned(), volume]
    });
    hooked(plan, node, folder)
        // crun refuses the hybrid cgroup layout of older hosts; runc takes every layout.
        .args(["--runtime", "runc", "run", "--detach", "--cgroupns", "private"])
        .args(confinement::options(folder))
        // A node has the environment of commands on nodes. Nothing is inherited from the host, above all no proxy, and
        // nothing from a containers.conf.
        .args(["--http-proxy=false", "--unsetenv-all"])
        .args(ENVIRONMENT.iter().flat_map(|variable| ["--env", variable]))
        .args(["--name", &scope, "--hostname", &node.name, "--no-hosts", "--log-driver", "k8s-file"])
        .args(["--label", &format!("{HOME_LABEL}={}", plan.id.home)])
        .args(["--label", &format!("{INSTANCE_LABEL}={}", plan.id.name)])
        .args(["--network", &format!("ns:{}", fabric::namespace_path(&scope))])
        // Below the hard limits of hosts without CAP_SYS_RESOURCE, where podman's own defaults are refused.
        .args(["--ulimit", "nofile=20000:20000", "--ulimit", "nproc=30000:30000"])
        .args(["--pids-limit", &limits.processes.to_string(), "--cpus", &limits.processors.to_string()])
        .args(["--memory", &format!("{}m", limits.memory)])
        .args(["--volume", &format!("{}:/var", folder.join("var"))])
        // `O` is an overlay with an upper folder for this container alone. A read-only bind mount would not protect the
        // store: root on a node can make it writable.
        .args(["--volume", &format!("{}:{}:O", image.containerd_store, folder::STORE)])
        .args(overlays)
        .args(["--tmpfs", "/run", "--tmpfs", "/tmp"])
        .args(["--rootfs", folder::root(folder).as_str(), "/sbin/homelab-init"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_one_podman_command() {
        let plan = crate::plan::tests::acme();
        let image = NodeImage { root: "/cache/root".into(), containerd_store: "/cache/store".into() };
        let overlaid = ["etc", "usr"].map(str::to_owned);
        let limits = NodeLimits::of(23_552, 2);
        let command = run(&plan, plan.first(), &image, "/home/nodes/acme-cp-1".into(), &overlaid, limits);
        insta::assert_snapshot!(command.to_string().replace(" --", "\n --"));
    }

    #[test]
    fn a_node_that_may_have_the_virtual_address_is_started_with_a_hook() {
        let plan = crate::plan::tests::acme_ha();
        let start = hooked(&plan, plan.first(), "/home/nodes/acme-cp-1".into()).arg("start");
        assert_eq!(start.to_string(), "podman --remote=false --hooks-dir /home/nodes/acme-cp-1/hooks start");
    }
}
