//! The program `homelab`: it parses the command line, runs one verb, prints the result and ends with an exit code.
//!
//! Everything that can be tested is in the libraries or in pure functions of the modules below. Next in the flow:
//! `args` defines the command line, `commands` has a file for each verb.

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
#[cfg(test)]
mod typed;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use provisioner::error::{Hint, chain};

use crate::app::App;
use crate::args::{Args, Verb};
use crate::exit::{CliError, Exit, Refusal};
use crate::printer::{Mark, Printer};

fn main() -> ExitCode {
    provisioner::exec::fix_umask();
    let printer = Printer::new();
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(answer) => return answered(&answer, &printer).into(),
    };
    let command = match args.verb {
        Verb::Command(command) => command,
        Verb::Help(help) => {
            return written(ended(help.run(&printer, Args::command()), &printer), &printer).into();
        }
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
        let outcome = command.run(&app).await;
        if let Some(error) = app.provisioner.events().lost() {
            printer.line(Mark::Bad, &format!("some events could not be recorded: {}", chain(&error)));
        }
        outcome
    });
    // Blocking threads that still run must not delay the exit.
    runtime.shutdown_background();
    written(ended(outcome, &printer), &printer).into()
}

/// The exit of a verb. Prints its error.
fn ended(outcome: Result<Exit, CliError>, printer: &Printer) -> Exit {
    outcome.unwrap_or_else(|error| {
        printer.error(error.cause(), error.hint());
        error.exit()
    })
}

/// Prints clap's own answers. Help and version are results on stdout; every other answer is a usage error on stderr.
fn answered(answer: &clap::Error, printer: &Printer) -> Exit {
    if answer.use_stderr() {
        let _ = answer.print(); // stderr is closed: an error cannot be reported anywhere
        return Exit::Usage;
    }
    printer.result(&answer.render().ansi().to_string());
    written(Exit::Ok, printer)
}

/// The given exit or, if a result could not be written to stdout, the exit for that; the error is printed then.
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

/// Logs are for developers, not for users. They are off unless `HOMELAB_LOG` is set: `HOMELAB_LOG=debug` logs every
/// command with its time.
fn log_to_stderr() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("HOMELAB_LOG");
    let filter = filter.unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("off"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
}
