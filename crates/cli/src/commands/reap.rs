//! `homelab reap`: destroys what has no living owner.

use clap::Args;
use provisioner::Reaped;
use provisioner::error::chain;

use crate::app::App;
use crate::exit::{CliError, Exit, Refusal};
use crate::printer::Mark;

/// Remove what nobody needs any more
///
/// Takes down instances whose owner, a test or an `up`, died before it could do so itself, and everything on
/// the host that no instance explains. Instances that `up` finished have no owner and are never touched.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  sudo homelab reap      after a test run was killed, or as the last step of CI")]
pub(crate) struct Reap {}

impl Reap {
    pub(crate) async fn run(self, app: &App) -> Result<Exit, CliError> {
        app.must_be_root()?;
        let reaped = app.provisioner.reap().await?;
        if reaped.is_empty() {
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
        if left.is_empty() { Ok(Exit::Ok) } else { Err(Refusal::Left { instances: left }.into()) }
    }
}
