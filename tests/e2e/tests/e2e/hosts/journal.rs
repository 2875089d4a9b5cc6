//! Records a host's software, and the steps of its test with their durations, in a file that outlives the test. The
//! tables in `docs/hosts.md` come from these files.

use std::time::Instant;

use camino::Utf8PathBuf;

use super::vm::Vm;

/// Facts in which hosts differ.
const FACTS: [(&str, &str); 8] = [
    ("system", "sed -n 's/^PRETTY_NAME=//p' /etc/os-release"),
    ("kernel", "uname --kernel-release"),
    ("init", "systemctl --version | head -n 1"),
    ("cgroups", "stat --file-system --format %T /sys/fs/cgroup"),
    ("AppArmor", "cat /sys/module/apparmor/parameters/enabled"),
    ("podman", "podman --version"),
    ("runc", "runc --version | head -n 1"),
    ("nftables", "nft --version"),
];

/// A host's file, rewritten after each step.
pub(super) struct Journal {
    path: Utf8PathBuf,
    text: String,
}

impl Journal {
    /// Starts with the facts of the host.
    pub(super) async fn of(host: &Vm) -> anyhow::Result<Self> {
        let path = Utf8PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{}.txt", host.release()));
        let mut journal = Self { path, text: String::new() };
        for (name, ask) in FACTS {
            journal.note(name, host.sh(ask).await?.trim())?;
        }
        Ok(journal)
    }

    /// Runs a step, and records how long it took and how it ended.
    pub(super) async fn step<T>(
        &mut self,
        name: &str,
        step: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<T> {
        let begun = Instant::now();
        let outcome = step.await;
        let took = format!("{} s", begun.elapsed().as_secs());
        match &outcome {
            Ok(_) => self.note(name, &took)?,
            Err(error) => self.note(name, &format!("failed after {took}: {error:#}"))?,
        }
        outcome
    }

    fn note(&mut self, name: &str, value: &str) -> anyhow::Result<()> {
        self.text.push_str(&format!("{name}: {value}\n"));
        Ok(std::fs::write(&self.path, &self.text)?)
    }
}
