//! `homelab`: parse, one call, render, exit code.
//!
//! Everything that can be tested lives in the libraries or in pure functions of the modules below. Next in
//! the flow: `args` says what can be typed, `commands` holds a file per verb.

mod args;
mod commands;
mod doctor;
mod app;
mod progress;
mod signals;
mod values;
mod exit;
mod printer;
mod sudo;
mod table;
mod words;

use std::process::ExitCode;

use clap::Parser;
use provisioner::error::chain;

use crate::app::App;
use crate::args::Args;
use crate::printer::{Mark, Printer};

fn main() -> ExitCode {
    provisioner::exec::fix_umask();
    let args = Args::parse(); // says what is wrong and exits with 2
    log_to_stderr();
    let printer = Printer::new();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            printer.error(&error, None);
            return exit::Exit::CouldNotRun.into();
        }
    };
    let outcome = runtime.block_on(async {
        let app = App::new(printer.clone())?;
        let outcome = args.command.run(&app).await;
        if let Some(error) = app.provisioner.events().lost() {
            printer.line(Mark::Bad, &format!("events are not kept: {}", chain(&error)));
        }
        outcome
    });
    // What still runs on blocking threads must not hold up the end.
    runtime.shutdown_background();
    match outcome {
        Ok(exit) => exit.into(),
        Err(error) => {
            printer.error(error.cause(), error.hint());
            error.exit().into()
        }
    }
}

/// Logs are for us, not for users: `HOMELAB_LOG=debug` shows every command with its time.
fn log_to_stderr() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("HOMELAB_LOG");
    let filter = filter.unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("off"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
}
