//! What a host needs before it can run nodes, found all at once.

use crate::assets::tools;
use crate::exec::Runner;

use super::Lack;

/// Everything that is missing for nodes as containers.
pub(super) async fn container(runner: &dyn Runner) -> Vec<Lack> {
    if !rustix::process::geteuid().is_root() {
        // Said alone: the rest can only be found out as root.
        let lack = ("root", "run the same command with sudo: namespaces, links and mounts need it");
        return vec![Lack { what: lack.0.to_owned(), remedy: lack.1.to_owned() }];
    }
    let tools = tools::missing_to_run(runner).await.into_iter();
    tools.map(|tool| Lack { what: tool.name.to_owned(), remedy: tool.remedy() }).collect()
}
