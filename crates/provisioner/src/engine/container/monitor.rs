//! conmon, the process with which podman watches over each container.

use std::fs;
use std::time::{Duration, Instant};

use crate::slowdown::Slowdown;

/// It ends by itself; a machine on which it does not has worse problems than a process of 2 MB.
const PATIENCE: Duration = Duration::from_secs(10);

/// Waits until nobody watches over these containers any more.
///
/// podman is done with a container before its monitor is: that runs podman once more to clean up. Whoever looks
/// for leftovers right after a removal would find it.
pub(super) async fn ended(containers: &[String]) {
    let deadline = Instant::now() + Slowdown::of_host().stretch(PATIENCE).on_clock();
    while Instant::now() < deadline && watches(containers) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Whether a process names one of the containers in its command line, as conmon and its children do.
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
