//! The requirements of the container engine. All are checked, so that one answer names everything that is missing.

use crate::assets::tools;
use crate::exec::Runner;

use super::MissingRequirement;

/// All requirements for nodes as containers that this host does not meet.
pub(super) async fn container(runner: &dyn Runner) -> Vec<MissingRequirement> {
    let root = (!rustix::process::geteuid().is_root()).then(|| MissingRequirement {
        what: "root".to_owned(),
        remedy: "run the same command with sudo: namespaces, links and mounts need it".to_owned(),
    });
    let tools = tools::missing_to_run(runner).await.into_iter();
    let tools = tools.map(|tool| MissingRequirement { what: tool.name.to_owned(), remedy: tool.remedy() });
    root.into_iter().chain(tools).collect()
}
