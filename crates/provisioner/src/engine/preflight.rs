//! What a host needs before it can run nodes, found all at once.

use std::fs;

use crate::assets::tools;
use crate::exec::Runner;

use super::Lack;

/// Inotify instances that a few clusters use up: every kubelet, containerd and runit takes some.
const INOTIFY_INSTANCES: u64 = 1024;

/// Everything that is missing for nodes as containers.
pub(super) async fn container(runner: &dyn Runner) -> Vec<Lack> {
    if !rustix::process::geteuid().is_root() {
        // Said alone: the rest can only be found out as root.
        let lack = ("root", "run the same command with sudo: namespaces, links and mounts need it");
        return vec![Lack { what: lack.0.to_owned(), remedy: lack.1.to_owned() }];
    }
    let tools = tools::missing_to_run(runner).await.into_iter();
    let mut lacks: Vec<Lack> =
        tools.map(|tool| Lack { what: tool.name.to_owned(), remedy: tool.remedy() }).collect();
    lacks.extend(inotify());
    lacks
}

fn inotify() -> Option<Lack> {
    let key = "fs.inotify.max_user_instances";
    let text = fs::read_to_string("/proc/sys/fs/inotify/max_user_instances").ok()?;
    let has: u64 = text.trim().parse().ok()?;
    (has < INOTIFY_INSTANCES).then(|| Lack {
        what: format!("{key} is {has}, {INOTIFY_INSTANCES} are needed"),
        remedy: format!("sysctl -w {key}={INOTIFY_INSTANCES}"),
    })
}
