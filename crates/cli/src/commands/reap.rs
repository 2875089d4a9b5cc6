//! `homelab reap`: destroys what has no living owner.

use clap::Args;
use provisioner::error::{Hint, chain};
use provisioner::{Reaped, Reaping};

use crate::app::App;
use crate::exit::{CliError, Exit, Refusal};
use crate::printer::Mark;

/// Remove what nobody needs any more
///
/// Removes the instances of tests that were killed, what a killed `up` or `down` left, and everything on the host that
/// no instance explains. Every other instance that `up` finished is left alone. An instance whose process may live in
/// another container is left alone and named. An engine that cannot be asked is reported, and what the other engines have
/// left is removed all the same.
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
                "`homelab down {}` takes it down, if no test or `up` still needs it",
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
            app.printer.line(Mark::Bad, &format!("{engine} cannot be asked for leftovers: {}", chain(error)));
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
