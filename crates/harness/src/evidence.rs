//! What is kept when a test fails: events, commands, plans, logs of nodes and pods.

use std::fmt::Write as _;
use std::time::Duration;

use camino::Utf8PathBuf;
use provisioner::Provisioner;
use provisioner::events::Event;
use provisioner::kubernetes::kubectl_as_admin;
use tokio::sync::broadcast;

use crate::journal::Journal;
use crate::name;

/// Collects what explains a failure: `target/homelab/<run>/<test>/`.
pub(crate) struct Evidence {
    folder: Utf8PathBuf,
    events: broadcast::Receiver<Event>,
    journal: Journal,
}

impl Evidence {
    pub(crate) fn of(provisioner: &Provisioner, run: &str, folder: Option<Utf8PathBuf>) -> Self {
        let usual = || target().join("homelab").join(run).join(name::test_name());
        let folder = folder.unwrap_or_else(usual);
        Self { folder, events: provisioner.events().subscribe(), journal: Journal::default() }
    }

    /// What notes the fixture's commands while it works.
    pub(crate) fn listener(&self) -> tracing::Dispatch {
        self.journal.listener()
    }

    /// Writes everything down and says where. What cannot be had is named in the folder, never an error: the
    /// test's own failure must not be hidden by this one.
    pub(crate) async fn keep(&mut self, provisioner: &Provisioner, clusters: &[String], why: &str) {
        let mut notes = format!("{why}\n");
        for cluster in clusters {
            let into = self.folder.join(cluster);
            if let Err(error) = provisioner.collect_evidence(cluster, &into).await {
                let _ = writeln!(notes, "logs of {cluster}: {error}");
            }
            let seen = match provisioner.attach(cluster).await {
                Ok(cluster) => overview(&cluster).await,
                Err(error) => error.to_string(),
            };
            if let Err(error) = std::fs::write(into.join("overview.txt"), seen) {
                let _ = writeln!(notes, "overview of {cluster}: {error}");
            }
        }
        let mut events = String::new();
        while let Ok(event) = self.events.try_recv() {
            let _ = writeln!(events, "{}", serde_json::to_string(&event).unwrap_or_default());
        }
        let written = std::fs::create_dir_all(&self.folder)
            .and_then(|()| std::fs::write(self.folder.join("events.jsonl"), events))
            .and_then(|()| std::fs::write(self.folder.join("commands.log"), self.journal.contents()))
            .and_then(|()| std::fs::write(self.folder.join("failure.txt"), notes));
        match written {
            Ok(()) => say(&format!("evidence: {}", self.folder)),
            Err(error) => say(&format!("evidence could not be written to {}: {error}", self.folder)),
        }
    }
}

/// What `kubectl` sees of a cluster.
async fn overview(cluster: &provisioner::Cluster) -> String {
    let mut text = String::new();
    for what in ["get nodes,pods,services --all-namespaces --output wide", "get events --all-namespaces"] {
        let command = kubectl_as_admin(Duration::from_secs(15)).args(what.split(' '));
        let answer = match cluster.nodes[0].run(&command).await {
            Ok(output) => output.text(),
            Err(error) => error.to_string(),
        };
        let _ = writeln!(text, "$ kubectl {what}\n{answer}");
    }
    text
}

/// Cargo's target folder, which it marks itself.
fn target() -> Utf8PathBuf {
    let program = std::env::current_exe().ok().and_then(|path| Utf8PathBuf::from_path_buf(path).ok());
    let marked = program
        .as_ref()
        .and_then(|program| program.ancestors().find(|folder| folder.join("CACHEDIR.TAG").exists()));
    marked.map_or_else(|| "target".into(), ToOwned::to_owned)
}

/// Tells whoever reads the test's output.
#[expect(clippy::print_stderr, reason = "a test's output is the only place where its reader looks")]
pub(crate) fn say(line: &str) {
    eprintln!("homelab: {line}");
}
