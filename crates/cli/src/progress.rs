//! Events as lines and spinners: the stages and assets in progress, and how long each one took.

use std::collections::HashMap;

use indicatif::ProgressBar;
use provisioner::events::{Event, Events};
use provisioner::stage::Stage;
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::printer::{Mark, Printer};
use crate::words;

/// Shows events until [`Progress::finish`].
#[derive(Debug)]
pub(crate) struct Progress {
    stop: oneshot::Sender<()>,
    shown: JoinHandle<()>,
}

impl Progress {
    /// Shows all events from now on.
    pub(crate) fn of(events: &Events, printer: &Printer) -> Self {
        let (stop, stopped) = oneshot::channel();
        let shown = tokio::spawn(show(events.subscribe(), printer.clone(), stopped));
        Self { stop, shown }
    }

    /// Shows the events that are already published, removes all spinners and ends.
    pub(crate) async fn finish(self) {
        let _ = self.stop.send(());
        let _ = self.shown.await;
    }
}

/// Shows the events of a fixture, as soon as the fixture hands them over.
#[derive(Debug)]
pub(crate) struct FixtureProgress(JoinHandle<Option<Progress>>);

impl FixtureProgress {
    /// The progress, and the sender for the fixture's builder.
    pub(crate) fn of(printer: &Printer) -> (Self, UnboundedSender<Events>) {
        let (to, mut events) = unbounded_channel();
        let printer = printer.clone();
        let shown = tokio::spawn(async move { Some(Progress::of(&events.recv().await?, &printer)) });
        (Self(shown), to)
    }

    /// As [`Progress::finish`]. The fixture and its builder must be gone; before, this may wait for their events.
    pub(crate) async fn finish(self) {
        if let Ok(Some(progress)) = self.0.await {
            progress.finish().await;
        }
    }
}

async fn show(mut events: Receiver<Event>, printer: Printer, mut stopped: oneshot::Receiver<()>) {
    let mut spinners = Spinners { printer: printer.clone(), active: HashMap::new() };
    loop {
        let event = tokio::select! {
            biased;
            event = events.recv() => event,
            _ = &mut stopped => break,
        };
        match event {
            Ok(event) => {
                spinners.follow(&event);
                if let Some((mark, text)) = line(&event) {
                    printer.line(mark, &text);
                }
            }
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => break,
        }
    }
}

/// The spinners of the stages and assets in progress, by their texts. Dropping this value removes them.
struct Spinners {
    printer: Printer,
    active: HashMap<String, ProgressBar>,
}

impl Spinners {
    fn follow(&mut self, event: &Event) {
        match event {
            Event::StageStarted { instance, stage, node } => {
                self.start(what(instance, *stage, node.as_deref()))
            }
            Event::StageCompleted { instance, stage, node, .. } => {
                self.stop(&what(instance, *stage, node.as_deref()))
            }
            Event::AssetStarted { asset, step, of } => self.start(building(asset, *step, *of)),
            Event::AssetCompleted { asset, step, of, .. } => self.stop(&building(asset, *step, *of)),
            _ => {}
        }
    }

    fn start(&mut self, text: String) {
        if let Some(spinner) = self.printer.spinner(text.clone()) {
            self.active.insert(text, spinner);
        }
    }

    fn stop(&mut self, text: &str) {
        if let Some(spinner) = self.active.remove(text) {
            spinner.finish_and_clear();
        }
    }
}

impl Drop for Spinners {
    fn drop(&mut self) {
        for spinner in self.active.values() {
            spinner.finish_and_clear();
        }
    }
}

/// The text of a stage's spinner: `acme  join         acme-w-1`.
fn what(instance: &str, stage: Stage, node: Option<&str>) -> String {
    let text = format!("{instance}  {stage:<11}  {}", node.unwrap_or_default());
    text.trim_end().to_owned()
}

fn building(asset: &str, step: usize, of: usize) -> String {
    format!("[{step}/{of}] {asset}")
}

/// The line of an event; `None` for an event without one. The start of an asset, which takes minutes, has a line of its
/// own for readers of a pipe.
fn line(event: &Event) -> Option<(Mark, String)> {
    match event {
        Event::InstanceClaimed { instance, subnet } => {
            Some((Mark::Busy, format!("{instance}  has claimed {subnet}")))
        }
        Event::StageCompleted { instance, stage, node, took, error } => {
            let mark = if error.is_none() { Mark::Good } else { Mark::Bad };
            let node = node.as_deref().map(|node| format!("  {node}")).unwrap_or_default();
            Some((mark, format!("{instance}  {stage:<11}  {:>6}{node}", words::took(*took))))
        }
        Event::AssetStarted { asset, step, of } => {
            Some((Mark::Busy, format!("{} …", building(asset, *step, *of))))
        }
        Event::AssetCompleted { asset, step, of, took, cached } => {
            let how = if *cached { "cached".to_owned() } else { words::took(*took) };
            Some((Mark::Good, format!("{}  {how}", building(asset, *step, *of))))
        }
        Event::IdentityUnchecked { instance, why } => {
            let what = "could not be compared with the recorded identity, so only its name and labels count";
            Some((Mark::Bad, format!("{instance}  {what}: {why}")))
        }
        Event::WorkerRemoved { instance, node } => {
            Some((Mark::Good, format!("{instance}  {node} is removed")))
        }
        Event::CaRevoked { instance, .. } => {
            Some((Mark::Good, format!("{instance}  is no longer trusted by this host")))
        }
        Event::CertificatesRenewed { instance } => {
            Some((Mark::Good, format!("{instance}  has new certificates, and a new kubeconfig")))
        }
        Event::ClusterDown { instance } => Some((Mark::Good, format!("{instance}  is down"))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn stages_nodes_and_assets_have_a_line_each() {
        let acme = || "acme".to_owned();
        let took = Duration::from_millis(1640);
        let completed = |stage, node: Option<&str>, error: Option<&str>| Event::StageCompleted {
            instance: acme(),
            stage,
            node: node.map(str::to_owned),
            took,
            error: error.map(str::to_owned),
        };
        let events = [
            Event::InstanceClaimed { instance: acme(), subnet: "192.168.60.0/24".to_owned() },
            Event::StageStarted { instance: acme(), stage: Stage::Nodes, node: None },
            completed(Stage::Nodes, None, None),
            completed(Stage::Join, Some("acme-w-1"), None),
            completed(Stage::Ready, None, Some("not yet")),
            Event::AssetStarted { asset: "kubernetes v1.36.3".to_owned(), step: 2, of: 9 },
            Event::AssetCompleted { asset: "etcd v3.7.3".to_owned(), step: 3, of: 9, took, cached: true },
            Event::WorkerRemoved { instance: acme(), node: "acme-w-2".to_owned() },
            Event::IdentityUnchecked {
                instance: acme(),
                why: "read the UID of kube-system from https://192.168.60.10:6443: connection refused"
                    .to_owned(),
            },
            Event::CaRevoked { instance: acme(), fingerprint: "AB:CD".to_owned() },
            Event::CertificatesRenewed { instance: acme() },
            Event::ClusterDown { instance: acme() },
        ];
        let lines = events.iter().filter_map(line).map(|(mark, text)| format!("{mark:?} {text}"));
        insta::assert_snapshot!(lines.collect::<Vec<_>>().join("\n"));
    }
}
