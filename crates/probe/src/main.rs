//! `homelab-probe`: one small static binary that runs inside clusters.
//!
//! It is in every node's `pause` and `toolbox` image, and in the node itself. It must stay small and free of
//! everything that only the host needs: each pod sandbox of each cluster holds one of these in memory. `pause` holds
//! a pod; `prober` asks and `witness` records what arrived, in the types of the library beside this.

mod clock;
mod lines;
mod links;
mod packet;
mod pause;
mod witness;
mod prober;

use std::error::Error;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::Write;
use std::process::ExitCode;

use witness::WitnessError;

const USAGE: &str = "\
usage: homelab-probe pause       hold a pod's namespaces until told to end
       homelab-probe witness --identity NAME [--tcp ADDR:PORT]… [--udp ADDR:PORT]… [--join GROUP]… [--capture[=LINK]]
                                 answer nonces and report each that arrives
       homelab-probe prober      try what standard input says, report what came of it
       homelab-probe --version
";

fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1);
    let verb = words.next().unwrap_or_default();
    let rest: Vec<OsString> = words.collect();
    match (verb.to_str(), rest.is_empty()) {
        (Some("pause"), true) => match pause::run() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => failed("pause", &error, 1),
        },
        (Some("witness"), _) => match witness::run(rest) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error @ WitnessError::Usage(_)) => failed("witness", &error, 2),
            Err(error) => failed("witness", &error, 1),
        },
        (Some("prober"), true) => match prober::run() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) if error.is_of_the_batch() => failed("prober", &error, 2),
            Err(error) => failed("prober", &error, 1),
        },
        (Some("--version"), true) => {
            let version = concat!("homelab-probe ", env!("CARGO_PKG_VERSION"), "\n");
            say(&mut std::io::stdout(), version, 0)
        }
        _ => say(&mut std::io::stderr(), USAGE, 2),
    }
}

/// The error with all its causes.
fn failed(verb: &str, error: &dyn Error, code: u8) -> ExitCode {
    let mut text = format!("homelab-probe {verb}: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        let _ = write!(text, ": {error}"); // a string always takes more
        cause = error.source();
    }
    say(&mut std::io::stderr(), &format!("{text}\n"), code)
}

/// Writes and exits; a stream that is closed already changes nothing about the exit code.
fn say(stream: &mut dyn Write, text: &str, code: u8) -> ExitCode {
    let _ = stream.write_all(text.as_bytes());
    ExitCode::from(code)
}
