//! `homelab`: parse, one call, render, exit code.
//!
//! Everything that can be tested lives in the libraries or in pure functions of the modules below. Next in
//! the flow: `args` says what can be typed, `commands` holds a file per verb.

mod args;
mod commands;
mod doctor;
mod app;
mod guard;
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
use provisioner::error::{Hint, chain};

use crate::app::App;
use crate::args::Args;
use crate::exit::{Exit, Refusal};
use crate::printer::{Mark, Printer};

fn main() -> ExitCode {
    provisioner::exec::fix_umask();
    let printer = Printer::new();
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(answer) => return answered(&answer, &printer).into(),
    };
    log_to_stderr();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            printer.error(&error, None);
            return Exit::CouldNotRun.into();
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
    let exit = outcome.unwrap_or_else(|error| {
        printer.error(error.cause(), error.hint());
        error.exit()
    });
    written(exit, &printer).into()
}

/// What clap says itself: help and version are results, everything else is an error of usage.
fn answered(answer: &clap::Error, printer: &Printer) -> Exit {
    if answer.use_stderr() {
        let _ = answer.print(); // nobody could be told
        return Exit::Usage;
    }
    printer.result(&answer.render().ansi().to_string());
    written(Exit::Ok, printer)
}

/// The same end, or the one of a result that nobody got.
fn written(exit: Exit, printer: &Printer) -> Exit {
    match printer.unwritten() {
        None => exit,
        Some(error) => {
            let error = Refusal::Unwritten(error);
            printer.error(&error, error.hint());
            exit.unwritten()
        }
    }
}

/// Logs are for us, not for users: `HOMELAB_LOG=debug` shows every command with its time.
fn log_to_stderr() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("HOMELAB_LOG");
    let filter = filter.unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("off"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
}
