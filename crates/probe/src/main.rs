//! `homelab-probe`: one small static binary that runs inside clusters.
//!
//! It is in every node's `pause` and `toolbox` image, and in the node itself. It must stay small and free of
//! everything that only the host needs: each pod sandbox of each cluster holds one of these in memory.

mod pause;

use std::io::Write;
use std::process::ExitCode;

const USAGE: &str = "\
usage: homelab-probe pause       hold a pod's namespaces until told to end
       homelab-probe --version
";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["pause"] => match pause::run() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => say(&mut std::io::stderr(), &format!("homelab-probe pause: {error}\n"), 1),
        },
        ["--version"] => {
            let version = concat!("homelab-probe ", env!("CARGO_PKG_VERSION"), "\n");
            say(&mut std::io::stdout(), version, 0)
        }
        _ => say(&mut std::io::stderr(), USAGE, 2),
    }
}

/// Writes and exits; a stream that is closed already changes nothing about the exit code.
fn say(stream: &mut dyn Write, text: &str, code: u8) -> ExitCode {
    let _ = stream.write_all(text.as_bytes());
    ExitCode::from(code)
}
