//! Waits for conmon, the process with which podman monitors a container.

use std::fs;
use std::time::{Duration, Instant};

use crate::slowdown::Slowdown;

/// Time-out for conmon, which ends by itself. A host where it does not has worse problems than a leftover process of 2
/// MB.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Waits until no process monitors these containers any more, or until the time-out.
///
/// `podman rm` returns before a container's conmon ends: conmon runs podman once more to clean up. A search for
/// leftovers right after the removal would find these processes.
pub(super) async fn ended(containers: &[String]) {
    let deadline = Instant::now() + Slowdown::of_host().stretch(TIMEOUT).on_clock();
    while Instant::now() < deadline && watches(containers) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Whether a process has the id of one of the containers in its command line, as conmon and its children have.
fn watches(containers: &[String]) -> bool {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let command_lines = processes.filter_map(|process| fs::read(process.path().join("cmdline")).ok());
    let mut watchers = command_lines.filter(|line| !line.is_empty()).map(|line| {
        let words: Vec<String> =
            line.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into()).collect();
        words
    });
    watchers.any(|words| containers.iter().any(|container| words.iter().any(|word| word == container)))
}
