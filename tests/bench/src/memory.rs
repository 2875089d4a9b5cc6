//! What a cluster weighs: the anonymous memory of its nodes' cgroups.

use std::fs;
use std::time::Duration;

use anyhow::{Context, ensure};
use harness::TestCluster;
use provisioner::Provisioner;
use provisioner::exec::Command;

/// Anonymous memory of all nodes of a cluster, in MiB.
pub(crate) async fn of(provisioner: &Provisioner, cluster: &TestCluster) -> anyhow::Result<f64> {
    let filter = format!("label=homelab.instance={}", cluster.inner().instance.name);
    let ask = Command::within(Duration::from_secs(20), "podman");
    let ask = ask.args(["ps", "--filter", &filter, "--format", "{{.Pid}}"]);
    let pids = provisioner.runner().run(&ask).await?.text();
    let weights = pids.lines().map(of_cgroup).collect::<anyhow::Result<Vec<u64>>>()?;
    ensure!(weights.len() == cluster.nodes().len(), "{} nodes, but {pids:?}", cluster.nodes().len());
    Ok(weights.iter().sum::<u64>() as f64 / f64::from(1 << 20))
}

/// Version 1 has a hierarchy for memory and counts descendants in `total_rss`; version 2 counts them in `anon`.
fn of_cgroup(pid: &str) -> anyhow::Result<u64> {
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
    let path = |prefix: &str| groups.lines().find_map(|line| line.split_once(prefix).map(|(_, path)| path));
    let (file, key) = match path(":memory:") {
        Some(path) => (format!("/sys/fs/cgroup/memory{path}/memory.stat"), "total_rss "),
        None => {
            let path = path("0::").context("a cgroup")?;
            // The first process lives in a leaf of the node's own cgroup.
            (format!("/sys/fs/cgroup{}/memory.stat", path.trim_end_matches("/init")), "anon ")
        }
    };
    let stat = fs::read_to_string(&file).with_context(|| format!("read {file}"))?;
    let value =
        stat.lines().find_map(|line| line.strip_prefix(key)).context("a figure for anonymous memory")?;
    Ok(value.trim().parse()?)
}
