//! `homelab audit --self-test`: injects every leak between throw-away clusters, and checks that the audit finds it.

use harness::audit::{Campaign, Score, Selection, SelfTestError, self_test};
use harness::{FixtureError, MultiClusterFixture};
use provisioner::request::{ClusterSpec, Topology};

use super::folder::Folder;
use super::steps::Steps;
use super::{NoReport, say_written};
use crate::app::App;
use crate::commands::engine::EngineArgs;
use crate::exit::{CliError, Exit};
use crate::printer::Mark;
use crate::progress::FixtureProgress;

/// Why there is no score.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoScore {
    /// The clusters did not come up, or could not be removed.
    #[error(transparent)]
    Fixture(#[from] FixtureError),
    /// The self-test could not run.
    #[error(transparent)]
    SelfTest(#[from] SelfTestError),
}

/// The specs of the two clusters: one node each with VMs, which are slow, else a control plane and a worker.
pub(super) async fn clients(app: &App, machines: &EngineArgs) -> Result<[ClusterSpec; 2], CliError> {
    let (spec, wanted) = machines.apply(ClusterSpec::new("acme"), app.provisioner.settings())?;
    let engine = wanted.here(&app.provisioner).await;
    let spec = spec.engine(engine);
    let spec = match engine.is_virtual() {
        true => spec.topology(Topology::Single),
        false => spec.topology(Topology::Multi).workers(1),
    };
    Ok(["acme", "globex"].map(|name| ClusterSpec { name: name.to_owned(), ..spec.clone() }))
}

/// The leaks that are drawn. By default none with VMs, and none if only some classes are tested, because a drawn leak may
/// be found by any class.
pub(super) fn campaign(
    clients: &[ClusterSpec; 2],
    selection: &Selection,
    random: Option<u32>,
    seed: Option<u64>,
) -> Result<Option<Campaign>, NoReport> {
    let is_virtual = clients[0].engine.is_virtual();
    if is_virtual && (seed.is_some() || random.is_some_and(|random| random > 0)) {
        return Err(NoReport::DrawnForVms);
    }
    let by_default =
        if is_virtual || (seed.is_none() && !selection.classes.is_empty()) { 0 } else { Campaign::RANDOM };
    let random = random.unwrap_or(by_default);
    Ok((random > 0).then(|| Campaign::new(seed, random)))
}

/// Brings up the two throw-away clusters, runs the self-test between them, and removes them.
pub(super) async fn run(
    app: &App,
    clients: [ClusterSpec; 2],
    (selection, campaign): (&Selection, Option<Campaign>),
    out: Option<&Folder<'_>>,
) -> Result<Exit, CliError> {
    if let Some(campaign) = &campaign {
        let drawn = campaign.leaks(["acme", "globex"]).len();
        let text =
            format!("seed {}: {drawn} leaks are drawn; `{campaign}` draws the same ones", campaign.seed);
        app.printer.line(Mark::Busy, &text);
    }
    app.printer.line(Mark::Busy, "bringing up two throw-away clusters for the self-test");
    let (progress, events) = FixtureProgress::of(&app.printer);
    let [from, to] = clients;
    let fixture = MultiClusterFixture::builder().cluster(from).cluster(to).events(events);
    let scored = fixture.run(async |fx| opened(app, fx, selection, campaign.as_ref()).await).await;
    progress.finish().await;
    let score = match scored {
        Err(NoScore::Fixture(FixtureError::Interrupted(signal))) => {
            app.printer.line(Mark::Bad, &format!("{signal}: no score; the clusters are removed"));
            return Ok(Exit::Interrupted);
        }
        scored => scored.map_err(NoReport::from)?,
    };
    let text = match &score.campaign {
        Some(campaign) => format!("{}\n{}", score.markdown(), campaign.markdown()),
        None => score.markdown(),
    };
    app.printer.result(&text);
    if let Some(out) = out {
        say_written(&app.printer, &out.write("self-test.md", &text).map_err(NoReport::from)?);
    }
    Ok(if score.is_perfect() { Exit::Ok } else { Exit::Inconclusive })
}

/// Runs the self-test between the clusters of a fixture.
async fn opened(
    app: &App,
    fx: &MultiClusterFixture,
    selection: &Selection,
    campaign: Option<&Campaign>,
) -> Result<Score, NoScore> {
    let (progress, steps) = Steps::shown(&app.printer, "auditing them before any leak".to_owned());
    let scored = self_test(fx.provisioner(), fx.clusters(), selection, &[], campaign, &progress).await;
    drop(progress);
    steps.finish().await;
    Ok(scored?)
}
