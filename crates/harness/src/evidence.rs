//! Evidence of a failed test: its error, events, commands, and for each cluster the plan, logs and an overview.
//!
//! Collecting evidence never fails a test: missing parts are named in `failure.txt`.

use std::fmt::Write as _;
use std::time::Duration;

use camino::Utf8PathBuf;
use futures::future::join_all;
use provisioner::Provisioner;
use provisioner::events::Event;
use provisioner::kubernetes::kubectl_as_admin;
use tokio::sync::broadcast;
use tokio::time::{Instant, timeout_at};

use crate::journal::Journal;
use crate::name;

/// Stands in place of each part that was not collected in time.
const CUT_OFF: &str = "cut off, because the teardown needs the remaining time";

/// Collects the evidence of one fixture for `target/homelab/<run>/<test>/` or a given folder.
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

    /// The tracing dispatcher for the fixture's work: see [`Journal::listener`].
    pub(crate) fn listener(&self) -> tracing::Dispatch {
        self.journal.listener()
    }

    /// Writes the evidence of all clusters, side by side, and prints the folder. What is not collected until `until` is
    /// cut off and named in `failure.txt`. Failures are printed, not returned: they must not hide the failure of the
    /// test.
    pub(crate) async fn keep(
        &mut self,
        provisioner: &Provisioner,
        clusters: &[String],
        why: &str,
        until: Instant,
    ) {
        let mut notes = format!("{why}\n");
        let kept = clusters.iter().map(|name| of_cluster(provisioner, name, self.folder.join(name), until));
        for note in join_all(kept).await.into_iter().flatten() {
            say(&note);
            let _ = writeln!(notes, "{note}");
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

/// Writes the evidence of one cluster, and returns a line for each part that is missing. Logs and overview are
/// collected at the same time, because an API server that hangs delays only the overview.
async fn of_cluster(
    provisioner: &Provisioner,
    cluster: &str,
    into: Utf8PathBuf,
    until: Instant,
) -> Vec<String> {
    let overview = async {
        match timeout_at(until, provisioner.attach(cluster)).await {
            Ok(Ok(attached)) => overview(&attached, until).await,
            Ok(Err(error)) => error.to_string(),
            Err(_) => CUT_OFF.to_owned(),
        }
    };
    let logs = timeout_at(until, provisioner.collect_evidence(cluster, &into));
    let (logs, seen) = tokio::join!(logs, overview);
    let logs = match logs {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(format!("logs of {cluster}: {error}")),
        Err(_) => Some(format!("logs of {cluster}: {CUT_OFF}")),
    };
    let overview = seen.contains(CUT_OFF).then(|| format!("overview of {cluster}: {CUT_OFF}"));
    let written =
        std::fs::create_dir_all(&into).and_then(|()| std::fs::write(into.join("overview.txt"), seen));
    let unwritten = written.err().map(|error| format!("overview of {cluster}: {error}"));
    logs.into_iter().chain(overview).chain(unwritten).collect()
}

/// Nodes, pods, services and events of a cluster, as `kubectl` on its first node lists them.
async fn overview(cluster: &provisioner::Cluster, until: Instant) -> String {
    let asked = ["get nodes,pods,services --all-namespaces --output wide", "get events --all-namespaces"];
    let answers = asked.map(async |what| {
        let command = kubectl_as_admin(Duration::from_secs(15)).args(what.split(' '));
        let answer = match timeout_at(until, cluster.nodes.first.run(&command)).await {
            Ok(Ok(output)) => output.text(),
            Ok(Err(error)) => error.to_string(),
            Err(_) => CUT_OFF.to_owned(),
        };
        format!("$ kubectl {what}\n{answer}\n")
    });
    join_all(answers).await.concat()
}

/// Cargo's target folder: the ancestor of this program that has cargo's `CACHEDIR.TAG`, or else `target`.
fn target() -> Utf8PathBuf {
    let program = std::env::current_exe().ok().and_then(|path| Utf8PathBuf::from_path_buf(path).ok());
    let marked = program
        .as_ref()
        .and_then(|program| program.ancestors().find(|folder| folder.join("CACHEDIR.TAG").exists()));
    marked.map_or_else(|| "target".into(), ToOwned::to_owned)
}

/// Prints a line to the test's output.
#[expect(clippy::print_stderr, reason = "a test's reader sees the test's output and nothing else")]
pub(crate) fn say(line: &str) {
    eprintln!("homelab: {line}");
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use provisioner::engine::{Fault, SimulatedEngine};
    use provisioner::home::Home;
    use provisioner::registry::Keeper;
    use provisioner::request::{ClusterSpec, EngineKind};

    use super::*;

    /// Two clusters whose API servers hang, kept within 20 s.
    #[tokio::test(start_paused = true)]
    async fn evidence_of_clusters_is_collected_in_parallel_and_a_part_that_hangs_is_cut_off_and_named() {
        let folder = tempfile::tempdir().unwrap();
        let folder = Utf8PathBuf::try_from(folder.path().to_owned()).unwrap();
        let home = Home::at(folder.join("home"));
        let engine = SimulatedEngine::new(home.id()).emulated();
        let provisioner = Provisioner::with_engine(home, Arc::new(engine.clone()));
        let names = ["acme", "globex"].map(str::to_owned);
        for name in &names {
            let spec = ClusterSpec::new(name.clone()).workers(0).engine(EngineKind::Simulated);
            provisioner.create(&spec.check().unwrap(), Keeper::Operator).await.unwrap();
        }
        let _faulty =
            engine.answering("get nodes", "a node").with_fault(Fault::Hang("get events".to_owned()));
        let kept_in = folder.join("evidence");
        let mut evidence = Evidence::of(&provisioner, "run", Some(kept_in.clone()));
        let begun = Instant::now();
        evidence.keep(&provisioner, &names, "it failed", begun + Duration::from_secs(20)).await;
        assert_eq!(begun.elapsed().as_secs(), 20);
        let said = std::fs::read_to_string(kept_in.join("failure.txt")).unwrap();
        insta::assert_snapshot!(said, @r"
        it failed
        overview of acme: cut off, because the teardown needs the remaining time
        overview of globex: cut off, because the teardown needs the remaining time
        ");
        for name in &names {
            let read = |file: &str| std::fs::read_to_string(kept_in.join(name).join(file)).unwrap();
            assert!(
                read("overview.txt").contains("a node"),
                "an answer does not wait for a request that hangs"
            );
            assert!(read("plan.txt").contains(name), "logs do not wait either");
        }
    }
}
