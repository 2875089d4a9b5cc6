//! What a host needs before it can run nodes, found all at once.

use crate::assets::tools;
use crate::exec::Runner;

use super::Lack;

/// Everything that is missing for nodes as containers.
pub(super) async fn container(runner: &dyn Runner) -> Vec<Lack> {
    let root = (!rustix::process::geteuid().is_root()).then(|| Lack {
        what: "root".to_owned(),
        remedy: "run the same command with sudo: namespaces, links and mounts need it".to_owned(),
    });
    let tools = tools::missing_to_run(runner).await.into_iter();
    let tools = tools.map(|tool| Lack { what: tool.name.to_owned(), remedy: tool.remedy() });
    root.into_iter().chain(tools).collect()
}
