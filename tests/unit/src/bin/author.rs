//! A user's test on two simulated clusters, as a separate process. The tests check its output and its exit code.
//!
//! `author HOME EVIDENCE KEEP BODY [FAULT]`: KEEP is `never`, `on-failure` or `always`; BODY is what the test does,
//! `pass`, `fail`, `panic` or `wait`; FAULT is `hang` (the clusters never come up) or `blind` (they cannot be
//! destroyed). The standard output has one line for each event, and the line `body` when the body begins.

use std::io::{self, Write};
use std::sync::Arc;

use anyhow::{bail, ensure};
use harness::{Keep, MultiClusterFixture};
use provisioner::Provisioner;
use provisioner::engine::{Fault, SimulatedEngine};
use provisioner::events::Events;
use provisioner::home::Home;
use provisioner::request::{ClusterSpec, EngineKind, Topology};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, home, evidence, keep, body, fault @ ..] = &arguments[..] else {
        bail!("author HOME EVIDENCE KEEP BODY [FAULT]");
    };
    let keep = match keep.as_str() {
        "never" => Keep::Never,
        "on-failure" => Keep::OnFailure,
        "always" => Keep::Always,
        other => bail!("KEEP is not '{other}'"),
    };
    let home = Home::at(home.as_str());
    let engine = SimulatedEngine::new(home.id());
    let engine = match fault {
        [] => engine,
        [fault] if fault == "hang" => engine.with_fault(Fault::Hang("kubeadm init".to_owned())),
        [fault] if fault == "blind" => engine.with_fault(Fault::Blind),
        other => bail!("FAULT is not {other:?}"),
    };
    let client = |name| ClusterSpec::new(name).topology(Topology::Single).engine(EngineKind::Simulated);
    let (to, events) = unbounded_channel();
    tokio::spawn(tell(events));
    MultiClusterFixture::builder()
        .cluster(client("acme"))
        .cluster(client("globex"))
        .made_by(Provisioner::with_engine(home, Arc::new(engine)))
        .forced()
        .events(to)
        .evidence_in(evidence)
        .keep(keep)
        .run(async |fx| {
            say("body")?;
            match body.as_str() {
                "pass" => {
                    ensure!(fx.clusters().len() == 2);
                    Ok(())
                }
                "fail" => bail!("acme was reached"),
                "panic" => panic!("an assertion fails"),
                "wait" => std::future::pending().await,
                other => bail!("BODY is not '{other}'"),
            }
        })
        .await
}

async fn tell(mut handed_out: UnboundedReceiver<Events>) -> anyhow::Result<()> {
    let Some(events) = handed_out.recv().await else { return Ok(()) };
    let mut events = events.subscribe();
    while let Ok(event) = events.recv().await {
        say(&serde_json::to_string(&event)?)?;
    }
    Ok(())
}

/// Writes a line, and flushes it before the process continues.
fn say(line: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{line}")?;
    stdout.flush()
}
