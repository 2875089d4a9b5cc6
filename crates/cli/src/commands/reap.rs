//! `homelab reap`: removes instances and leftovers whose owner has ended.

use clap::Args;
use provisioner::error::{Hint, chain};
use provisioner::{Reaped, Reaping};
use serde::Serialize;

use crate::app::App;
use crate::exit::{CliError, Exit, Refusal};
use crate::printer::{Mark, json};
use crate::values::Format;

/// Remove abandoned instances and leftovers
///
/// Removes the instances of tests that were killed, the instances whose `up` or `down` was killed, and all nodes,
/// networks, DNS names and trust anchors of this home that belong to no instance. All other instances stay. An instance
/// whose process may still run in another container also stays, and is named. If an engine cannot be asked, this is
/// reported, and the leftovers of the other engines are removed all the same.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sudo homelab reap      after a test run was killed, or as the last step of CI
  sudo homelab reap --format json | jq -r '.spared[].instance'")]
pub(crate) struct Reap {
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// `homelab reap --format json`
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct View {
    /// The version of this format.
    version: u32,
    /// The abandoned instances and leftovers.
    reaped: Vec<ReapedView>,
    /// The instances that were left alone because it is unknown whether their owner runs.
    spared: Vec<SparedView>,
    /// The engines whose leftovers could not be listed.
    unlisted: Vec<UnlistedView>,
}

/// An abandoned instance or a leftover.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct ReapedView {
    /// The instance's name.
    instance: String,
    /// Why it was removed.
    why: String,
    /// Why it could not be removed; `null` if it was removed.
    error: Option<String>,
}

/// An instance that was left alone.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct SparedView {
    /// The instance's name.
    instance: String,
    /// The process id of its owner, in the owner's own PID namespace.
    pid: u32,
    /// Why it is unknown whether the owner runs.
    why: String,
}

/// An engine that could not be asked.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct UnlistedView {
    /// The engine.
    engine: String,
    /// Why.
    error: String,
}

impl View {
    fn of(reaping: &Reaping) -> Self {
        let reaped = reaping.reaped.iter().map(|one| ReapedView {
            instance: one.instance.clone(),
            why: one.why.clone(),
            error: one.outcome.as_ref().err().map(|error| chain(error)),
        });
        let spared = reaping.spared.iter().map(|one| SparedView {
            instance: one.instance.clone(),
            pid: one.pid,
            why: one.why.to_string(),
        });
        let unlisted = reaping
            .blind
            .iter()
            .map(|(engine, error)| UnlistedView { engine: engine.to_string(), error: chain(error) });
        Self { version: 1, reaped: reaped.collect(), spared: spared.collect(), unlisted: unlisted.collect() }
    }
}

impl Reap {
    pub(crate) async fn run(self, app: &App) -> Result<Exit, CliError> {
        app.must_be_root()?;
        let reaping = app.provisioner.reap().await?;
        match self.format {
            Format::Text => tell(app, &reaping),
            Format::Json => app.printer.result(&json(&View::of(&reaping))),
        }
        let Reaping { reaped, blind, .. } = reaping;
        let left: Vec<String> =
            reaped.into_iter().filter(|one| one.outcome.is_err()).map(|one| one.instance).collect();
        match (left.is_empty(), blind.is_empty()) {
            (false, _) => Err(Refusal::Left { instances: left }.into()),
            (true, false) => {
                Err(Refusal::Blind { engines: blind.iter().map(|(kind, _)| kind.to_string()).collect() }
                    .into())
            }
            (true, true) => Ok(Exit::Ok),
        }
    }
}

/// Prints what was removed to stdout, and what was not to stderr.
fn tell(app: &App, Reaping { reaped, spared, blind }: &Reaping) {
    for one in spared {
        app.printer.line(Mark::Busy, &one.to_string());
        app.printer.hint(&format!(
            "if no test and no `up` needs it any more, `sudo homelab down {}` removes it",
            one.instance
        ));
    }
    if reaped.is_empty() && spared.is_empty() && blind.is_empty() {
        app.printer.done("nothing to reap");
    }
    for Reaped { instance, why, outcome } in reaped {
        match outcome {
            Ok(()) => app.printer.done(&format!("{instance} reaped: {why}")),
            Err(error) => app.printer.line(Mark::Bad, &format!("{instance}, {why}: {}", chain(error))),
        }
    }
    for (engine, error) in blind {
        app.printer.line(Mark::Bad, &format!("leftovers of {engine} cannot be listed: {}", chain(error)));
        error.hint().into_iter().for_each(|hint| app.printer.hint(&hint));
    }
}

#[cfg(test)]
mod tests {
    use provisioner::registry::UnknownLiveness;

    use super::*;

    #[test]
    fn the_result_is_as_published() {
        let reaped =
            Reaped { instance: "acme".to_owned(), why: "its test has ended".to_owned(), outcome: Ok(()) };
        let spared =
            provisioner::Spared { instance: "globex".to_owned(), pid: 7, why: UnknownLiveness::Namespace };
        let reaping = Reaping { reaped: vec![reaped], spared: vec![spared], blind: Vec::new() };
        crate::commands::instance::tests::published("reap.json", &[View::of(&reaping)]);
    }
}
