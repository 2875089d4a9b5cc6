//! The resources of a node, from its cgroup: anonymous memory, CPU time, inotify instances.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};
use provisioner::Provisioner;
use provisioner::exec::Command;

/// The cgroup of a node's container on the host.
#[derive(Debug, Clone)]
pub(crate) struct Cgroup {
    /// The node's name.
    pub(crate) node: String,
    memory: PathBuf,
    processor: PathBuf,
}

/// The cgroups of an instance's running nodes. `instance` is its name in the registry, with the fixture's suffix.
pub(crate) async fn of(provisioner: &Provisioner, instance: &str) -> anyhow::Result<Vec<Cgroup>> {
    let filter = format!("label=homelab.instance={instance}");
    let ask = Command::within(Duration::from_secs(20), "podman");
    let ask = ask.args(["ps", "--filter", &filter, "--format", "{{.Pid}} {{.Names}}"]);
    let answer = provisioner.runner().run(&ask).await?.text();
    answer.lines().map(Cgroup::of).collect()
}

impl Cgroup {
    /// Finds a container's cgroups. cgroup v1 has separate hierarchies for memory and CPU time, v2 has one for both.
    fn of(container: &str) -> anyhow::Result<Self> {
        let (pid, name) = container.split_once(' ').context("a pid and a name")?;
        let groups = fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
        let path = |controller: &str| {
            groups.lines().find_map(|line| {
                let mut fields = line.splitn(3, ':').skip(1);
                let is_it = fields.next()?.split(',').any(|one| one == controller);
                is_it.then(|| fields.next()).flatten()
            })
        };
        let node = name.rsplit('.').next().unwrap_or(name).to_owned();
        match (path("memory"), path("cpuacct")) {
            (Some(memory), Some(processor)) => Ok(Self {
                node,
                memory: format!("/sys/fs/cgroup/memory{memory}").into(),
                processor: format!("/sys/fs/cgroup/cpuacct{processor}").into(),
            }),
            _ => {
                let path = path("").context("a cgroup")?;
                // The first process is in a leaf below the node's own cgroup.
                let path = path.trim_end_matches("/init").trim_end_matches("/node");
                let path = PathBuf::from(format!("/sys/fs/cgroup{path}"));
                Ok(Self { node, memory: path.clone(), processor: path })
            }
        }
    }

    /// Anonymous memory in MiB, with descendants: `total_rss` in cgroup v1, `anon` in v2.
    pub(crate) fn memory(&self) -> anyhow::Result<f64> {
        let stat = read(&self.memory.join("memory.stat"))?;
        let bytes = field(&stat, "total_rss").or_else(|| field(&stat, "anon"));
        Ok(bytes.context("no anonymous memory in memory.stat")? as f64 / f64::from(1 << 20))
    }

    /// CPU time since the node started, in seconds.
    pub(crate) fn processor(&self) -> anyhow::Result<f64> {
        match fs::read_to_string(self.processor.join("cpuacct.usage")) {
            Ok(nanoseconds) => Ok(nanoseconds.trim().parse::<u64>()? as f64 / 1e9),
            Err(_) => {
                let stat = read(&self.processor.join("cpu.stat"))?;
                Ok(field(&stat, "usage_usec").context("no CPU time in cpu.stat")? as f64 / 1e6)
            }
        }
    }

    /// The number of inotify instances of the node's processes (inotify(7)), which `max_user_instances` limits.
    pub(crate) fn inotify(&self) -> anyhow::Result<usize> {
        let pids = processes(&self.memory)?;
        ensure!(!pids.is_empty(), "{} has no processes", self.node);
        // A process may have ended meanwhile.
        let descriptors = pids.iter().filter_map(|pid| fs::read_dir(format!("/proc/{pid}/fd")).ok());
        let links = descriptors.flatten().filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
        Ok(links.filter(|link| link == Path::new("anon_inode:inotify")).count())
    }
}

/// The pids of all processes of a cgroup and its descendants.
fn processes(group: &Path) -> anyhow::Result<Vec<String>> {
    let mut pids: Vec<String> = read(&group.join("cgroup.procs"))?.lines().map(str::to_owned).collect();
    for entry in fs::read_dir(group)? {
        let path = entry?.path();
        if path.is_dir() {
            pids.extend(processes(&path)?);
        }
    }
    Ok(pids)
}

fn read(path: &Path) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| format!("read {}", path.display()))
}

fn field(stat: &str, key: &str) -> Option<u64> {
    stat.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '))?.trim().parse().ok()
}
