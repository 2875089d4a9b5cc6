//! `homelab reap`: removes instances and leftovers whose owner has ended.

use clap::Args;
use provisioner::error::{Hint, chain};
use provisioner::{Reaped, Reaping};

use crate::app::App;
use crate::exit::{CliError, Exit, Refusal};
use crate::printer::Mark;

/// Remove abandoned instances and leftovers
///
/// Removes the instances of tests that were killed, the instances whose `up` or `down` was killed, and all nodes,
/// networks, DNS names and trust anchors of this home that belong to no instance. All other instances stay. An instance
/// whose process may still run in another container also stays, and is named. If an engine cannot be asked, this is
/// reported, and the leftovers of the other engines are removed all the same.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  sudo homelab reap      after a test run was killed, or as the last step of CI")]
pub(crate) struct Reap {}

impl Reap {
    pub(crate) async fn run(self, app: &App) -> Result<Exit, CliError> {
        app.must_be_root()?;
        let Reaping { reaped, spared, blind } = app.provisioner.reap().await?;
        for one in &spared {
            app.printer.line(Mark::Busy, &one.to_string());
            app.printer.hint(&format!(
                "if no test and no `up` needs it any more, `sudo homelab down {}` removes it",
                one.instance
            ));
        }
        if reaped.is_empty() && spared.is_empty() && blind.is_empty() {
            app.printer.line(Mark::Good, "nothing to reap");
        }
        let mut left = Vec::new();
        for Reaped { instance, why, outcome } in reaped {
            match outcome {
                Ok(()) => app.printer.done(&format!("{instance} reaped: {why}")),
                Err(error) => {
                    app.printer.line(Mark::Bad, &format!("{instance}, {why}: {}", chain(&error)));
                    left.push(instance);
                }
            }
        }
        for (engine, error) in &blind {
            app.printer.line(Mark::Bad, &format!("leftovers of {engine} cannot be listed: {}", chain(error)));
            error.hint().into_iter().for_each(|hint| app.printer.hint(&hint));
        }
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
