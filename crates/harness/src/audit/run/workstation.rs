//! The workstation's own part in a run: a prober and a witness as processes, and what the host says of itself.
//!
//! The program is the one that the pods run. It lies in a temporary folder for as long as the run takes.

mod forwards;
mod host;

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use probe::{Batch, Report, Said};
use provisioner::assets;
use provisioner::exec::{Background, Command, CommandError, Local, Runner};

use crate::audit::{TCP_PORT, UDP_PORT, WORKSTATION, Watch};
use crate::wait::{self, Wait, WaitError};

use super::ask;
use super::stage::reports;

pub(super) use host::host;

/// How long the witness may take to listen.
const PATIENCE: Duration = Duration::from_secs(10);
/// What a prober may take beyond its own deadline.
const GRACE: Duration = Duration::from_secs(5);

/// A prober and a witness on the workstation.
#[derive(Debug)]
pub(super) struct Workstation {
    folder: tempfile::TempDir,
    witness: Background,
}

/// Why the workstation has no part in a run.
#[derive(Debug, thiserror::Error)]
pub enum WorkstationError {
    /// The program cannot be laid down.
    #[error("lay the probe down in {folder}")]
    Folder {
        /// Where.
        folder: String,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// It cannot be run.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// The witness has ended: its ports are taken.
    #[error("listen on ports {TCP_PORT} and {UDP_PORT} of the workstation: {why}")]
    Ended {
        /// What it said last.
        why: String,
    },
    /// The witness does not listen.
    #[error("wait for the workstation's witness")]
    Silent(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Workstation {
    /// Starts the witness, on every address, those included that are added later: that is what H1 and H2 ask for. It
    /// ends with this value.
    pub(super) async fn set() -> Result<Self, WorkstationError> {
        let unwritable = |folder: &Utf8Path| {
            let folder = folder.to_string();
            move |source| WorkstationError::Folder { folder, source }
        };
        let folder = tempfile::Builder::new().prefix("homelab-audit-").tempdir();
        let folder = folder.map_err(unwritable(Utf8Path::new("a temporary folder")))?;
        let path = Utf8Path::from_path(folder.path()).unwrap_or(Utf8Path::new("/"));
        let program = path.join("homelab-probe");
        fs::write(&program, assets::PROBE)
            .and_then(|()| fs::set_permissions(&program, fs::Permissions::from_mode(0o700)))
            .map_err(unwritable(path))?;
        let on = addresses_of_all().map(|all| format!("--tcp {all}:{TCP_PORT} --udp {all}:{UDP_PORT}"));
        let on = on.collect::<Vec<_>>().join(" ");
        let witness =
            format!("exec {program} witness --identity {WORKSTATION} {on} > {path}/log 2> {path}/errors");
        let witness = Background::start(&Command::within(Duration::MAX, "sh").args(["-c", &witness]))?;
        let mut workstation = Self { folder, witness };
        let (folder, witness) = (workstation.path(), &mut workstation.witness);
        let ready = wait::until("the workstation's witness".to_owned(), PATIENCE, async || {
            let log = fs::read_to_string(folder.join("log")).unwrap_or_default();
            if reports(&log).is_ok_and(|said| matches!(said.first(), Some(Report::Ready { .. }))) {
                return Ok(Wait::Done(()));
            }
            if witness.has_ended() {
                let why = fs::read_to_string(folder.join("errors")).unwrap_or_default();
                return Err(WorkstationError::Ended { why: why.trim().to_owned() });
            }
            Ok(Wait::NotYet(format!("{log:?}")))
        });
        match ready.await {
            Ok(()) => {}
            Err(WaitError::Look { source, .. }) => return Err(source),
            Err(late) => return Err(WorkstationError::Silent(late.into())),
        }
        Ok(workstation)
    }

    /// Has the prober ask a batch.
    pub(super) async fn ask(&self, batch: &Batch) -> Result<Vec<Said>, String> {
        let within = Duration::from_millis(batch.deadline_ms) + GRACE;
        let batch = serde_json::to_vec(batch).map_err(|error| error.to_string())?;
        let program = self.path().join("homelab-probe");
        let prober = Command::within(within, program.as_str()).arg("prober").input(batch);
        let text = Local.run(&prober).await.map_err(|error| error.to_string())?.text();
        text.lines()
            .map(|line| serde_json::from_str(line).map_err(|error| format!("{error}: {line}")))
            .collect()
    }

    /// The prober's command, as one would type it, without its standard input.
    pub(super) fn command(&self) -> String {
        ask::PROBER.join(" ")
    }

    /// What the witness has seen so far.
    pub(super) fn watch(&mut self) -> Watch {
        let alive = !self.witness.has_ended();
        let log = fs::read_to_string(self.path().join("log")).map_err(|error| error.to_string());
        match log.and_then(|log| reports(&log)) {
            Ok(reports) => Watch::of(WORKSTATION, reports, alive),
            Err(why) => Watch { unreadable: Some(why), ..Watch::default() },
        }
    }

    /// Ends the witness and removes the folder.
    pub(super) async fn strike(self) {
        self.witness.stop().await;
    }

    fn path(&self) -> Utf8PathBuf {
        Utf8PathBuf::from_path_buf(self.folder.path().to_owned()).unwrap_or_default()
    }
}

/// What stands for every address: of IPv4, and of IPv6 where the kernel has it.
fn addresses_of_all() -> impl Iterator<Item = &'static str> {
    let has_ipv6 = Utf8Path::new("/proc/net/if_inet6").exists();
    ["0.0.0.0"].into_iter().chain(has_ipv6.then_some("[::]"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_second_witness_says_that_the_ports_are_taken() {
        let first = Workstation::set().await.unwrap();
        let taken = Workstation::set().await.unwrap_err();
        let told = taken.to_string();
        assert!(matches!(taken, WorkstationError::Ended { .. }), "{told}");
        assert!(told.contains("Address already in use"), "{told}");
        first.strike().await;
    }
}
