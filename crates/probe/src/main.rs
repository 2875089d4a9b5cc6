//! `homelab-probe`: a small static binary that runs inside clusters.
//!
//! Every node has it, and so have its `pause` and `toolbox` images. Each pod sandbox of every cluster keeps one in
//! memory, so the binary stays small and contains nothing that only the host needs. `pause` holds a pod's namespaces;
//! `prober` sends probes and `witness` records which of them arrive; `walk` reads everything that can connect instances.
//! Their wire types are in the library beside this file.

mod arrivals;
mod clock;
mod lines;
mod links;
mod mountinfo;
mod packet;
mod pause;
mod witness;
mod prober;
mod walk;

use std::error::Error;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::Write;
use std::process::ExitCode;

use witness::WitnessError;

const USAGE: &str = "\
usage: homelab-probe pause       hold a pod's namespaces until SIGTERM or SIGINT
       homelab-probe witness --identity NAME [--tcp ADDR:PORT]… [--udp ADDR:PORT]… [--join GROUP]… [--capture[=LINK]]
                                 answer each nonce and report its arrival
       homelab-probe prober      send the probes of a batch on standard input, report each result
       homelab-probe walk        read all namespaces, links, mounts and processes of this host, as root; a request as JSON
                                 on standard input
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
        (Some("walk"), true) => match walk::run() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) if error.is_of_the_request() => failed("walk", &error, 2),
            Err(error) => failed("walk", &error, 1),
        },
        (Some("--version"), true) => {
            let version = concat!("homelab-probe ", env!("CARGO_PKG_VERSION"), "\n");
            say(&mut std::io::stdout(), version, 0)
        }
        _ => say(&mut std::io::stderr(), USAGE, 2),
    }
}

/// Prints the error with its causes, and returns `code`.
fn failed(verb: &str, error: &dyn Error, code: u8) -> ExitCode {
    let mut text = format!("homelab-probe {verb}: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        let _ = write!(text, ": {error}"); // writing to a string cannot fail
        cause = error.source();
    }
    say(&mut std::io::stderr(), &format!("{text}\n"), code)
}

/// Writes `text` and returns `code`. A closed stream does not change the exit code.
fn say(stream: &mut dyn Write, text: &str, code: u8) -> ExitCode {
    let _ = stream.write_all(text.as_bytes());
    ExitCode::from(code)
}
