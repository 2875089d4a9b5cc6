//! What podman is told, and what it answers as far as we read it. Commands are pure.

use std::collections::HashMap;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use serde::Deserialize;

use crate::assets::NodeImage;
use crate::exec::{Command, ENVIRONMENT};
use crate::fabric;
use crate::plan::{ClusterPlan, NodePlan, Power};

use super::{folder, hook};

/// The label that tells our containers from all others.
pub(super) const HOME_LABEL: &str = "homelab.home";
/// The label that says whose node a container is.
pub(super) const INSTANCE_LABEL: &str = "homelab.instance";

/// What `podman ps --format json` says of a container, as far as we read it.
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

/// What `podman container inspect` says of a container, as far as we read it.
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
    /// Where it is on the host, as it was spelled when the container was made.
    #[serde(default)]
    pub(super) source: Utf8PathBuf,
}

/// What podman does to a container of this state; nothing when all is as it should be.
pub(super) fn verb(power: Power, state: &str) -> Option<&'static [&'static str]> {
    match (power, state) {
        (Power::Pause, "running") => Some(&["pause"]),
        (Power::Resume, "paused") => Some(&["unpause"]),
        // runit takes SIGHUP for the end of the node's day (runsvdir(8)); podman follows up with SIGKILL.
        (Power::Halt, "running") => Some(&["stop", "--time", "10"]),
        (Power::Start, "exited" | "created" | "stopped") => Some(&["start"]),
        _ => None,
    }
}

/// The podman of this host, whatever a containers.conf says of others (`remote = true`).
pub(super) fn podman(seconds: u64) -> Command {
    Command::within(Duration::from_secs(seconds), "podman").arg("--remote=false")
}

pub(super) fn node_folder(instance: &Utf8Path, node: &str) -> Utf8PathBuf {
    instance.join("nodes").join(node)
}

/// podman, with what it has to do when the node ends: it asks for that at every start.
pub(super) fn hooked(plan: &ClusterPlan, node: &NodePlan, folder: &Utf8Path) -> Command {
    match hook::folder(plan, node, folder) {
        Some(hooks) => podman(60).args(["--hooks-dir", hooks.as_str()]),
        None => podman(60),
    }
}

/// `podman run` for a node, whose root shows these folders of the image through overlays of the node's own. Pure.
pub(super) fn run(
    plan: &ClusterPlan,
    node: &NodePlan,
    image: &NodeImage,
    folder: &Utf8Path,
    overlaid: &[String],
) -> Command {
    let scope = plan.id.node_scope(&node.name);
    let overlays = overlaid.iter().flat_map(|name| {
        let [upper, work] = folder::overlay(folder, name);
        let volume = format!("{}:/{name}:O,upperdir={upper},workdir={work}", image.root.join(name));
        ["--volume".to_owned(), volume]
    });
    hooked(plan, node, folder)
        // crun refuses the hybrid cgroup layout of older hosts; runc takes every layout.
        .args(["--runtime", "runc", "run", "--detach", "--privileged", "--cgroupns", "private"])
        // Nodes have the environment of commands on nodes: nothing of the host's, its proxies above all, and nothing that
        // a containers.conf has for all containers.
        .args(["--http-proxy=false", "--unsetenv-all"])
        .args(ENVIRONMENT.iter().flat_map(|variable| ["--env", variable]))
        .args(["--name", &scope, "--hostname", &node.name, "--no-hosts", "--log-driver", "k8s-file"])
        .args(["--label", &format!("{HOME_LABEL}={}", plan.id.home)])
        .args(["--label", &format!("{INSTANCE_LABEL}={}", plan.id.name)])
        .args(["--network", &format!("ns:{}", fabric::namespace_path(&scope))])
        // Below the hard limits of hosts without CAP_SYS_RESOURCE, where podman's own defaults are refused.
        .args(["--ulimit", "nofile=20000:20000", "--ulimit", "nproc=30000:30000", "--pids-limit", "-1"])
        .args(["--volume", &format!("{}:/var", folder.join("var"))])
        // O: through an overlay with an upper folder of this container's own. A read-only bind mount is no substitute,
        // the root of a privileged container makes it a writable one.
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
        let command = run(&plan, plan.first(), &image, "/home/nodes/acme-cp-1".into(), &overlaid);
        insta::assert_snapshot!(command.to_string().replace(" --", "\n --"));
    }

    #[test]
    fn a_node_that_may_have_the_virtual_address_is_started_with_a_hook() {
        let plan = crate::plan::tests::acme_ha();
        let start = hooked(&plan, plan.first(), "/home/nodes/acme-cp-1".into()).arg("start");
        assert_eq!(start.to_string(), "podman --remote=false --hooks-dir /home/nodes/acme-cp-1/hooks start");
    }
}
