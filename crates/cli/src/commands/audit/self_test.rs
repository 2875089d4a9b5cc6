//! `homelab audit --self-test`: every leak is opened in clusters made for it, and the audit has to find it.

use harness::audit::{Score, Selection, SelfTestError, self_test};
use harness::{FixtureError, MultiClusterFixture};
use provisioner::spec::{ClusterSpec, Topology};

use super::folder::Folder;
use super::steps::Steps;
use super::{NoReport, say_written};
use crate::app::App;
use crate::commands::machines::Machines;
use crate::exit::{CliError, Exit};
use crate::printer::Mark;
use crate::progress::FixtureProgress;

/// Why there is no score.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoScore {
    /// The clusters.
    #[error(transparent)]
    Fixture(#[from] FixtureError),
    /// The test itself.
    #[error(transparent)]
    SelfTest(#[from] SelfTestError),
}

/// The two clusters: of machines, which are slow, as small as can be.
pub(super) async fn clients(app: &App, machines: &Machines) -> Result<[ClusterSpec; 2], CliError> {
    let (spec, wanted) = machines.apply(ClusterSpec::new("acme"), app.provisioner.settings())?;
    let engine = wanted.here(&app.provisioner).await;
    let spec = spec.engine(engine);
    let spec = match engine.is_virtual() {
        true => spec.topology(Topology::Single),
        false => spec.topology(Topology::Multi).workers(1),
    };
    Ok(["acme", "globex"].map(|name| ClusterSpec { name: name.to_owned(), ..spec.clone() }))
}

/// Brings two clusters up that may be lost, opens leaks between them, and takes them down.
pub(super) async fn run(
    app: &App,
    clients: [ClusterSpec; 2],
    selection: &Selection,
    out: Option<&Folder<'_>>,
) -> Result<Exit, CliError> {
    app.printer.line(Mark::Busy, "two clusters come up, to be opened to each other");
    let (progress, events) = FixtureProgress::of(&app.printer);
    let [from, to] = clients;
    let fixture = MultiClusterFixture::builder().cluster(from).cluster(to).events(events);
    let scored = fixture.run(async |fx| opened(app, fx, selection).await).await;
    progress.finish().await;
    let score = match scored {
        Err(NoScore::Fixture(FixtureError::Interrupted(signal))) => {
            app.printer.line(Mark::Bad, &format!("{signal}: no score, and the clusters are gone"));
            return Ok(Exit::Interrupted);
        }
        scored => scored.map_err(NoReport::from)?,
    };
    app.printer.result(&score.markdown());
    if let Some(out) = out {
        say_written(&app.printer, &out.write("self-test.md", &score.markdown()).map_err(NoReport::from)?);
    }
    Ok(if score.is_perfect() { Exit::Ok } else { Exit::Inconclusive })
}

/// Opens leaks between the clusters of a fixture.
async fn opened(app: &App, fx: &MultiClusterFixture, selection: &Selection) -> Result<Score, NoScore> {
    let (progress, steps) = Steps::shown(&app.printer, "they are audited as they are".to_owned());
    let scored = self_test(fx.provisioner(), fx.clusters(), selection, &[], &progress).await;
    drop(progress);
    steps.finish().await;
    Ok(scored?)
}
