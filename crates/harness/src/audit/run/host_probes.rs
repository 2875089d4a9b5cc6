//! The host's part in an audit: a prober and witnesses as processes on the host, and the facts about the host.
//!
//! They run the same program as the pods, from a temporary folder that is removed after the audit.

mod forwards;
mod host;

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use probe::{Batch, ProbeResult, WitnessLine};
use provisioner::assets;
use provisioner::exec::{Background, Command, CommandError, Local, Runner};
use provisioner::slowdown::{Slowdown, Stretched};

use crate::ask;
use crate::audit::{HOST, LinkWitness, TCP_PORT, UDP_PORT, Watch};
use crate::wait::{self, Wait, WaitError};

use super::instance_probes::reports;

#[cfg(feature = "fuzzing")]
pub use forwards::read_forwards;
pub(super) use host::host;

/// The deadline for the witnesses to listen. Stretched on a slow host.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The time that a prober process gets beyond its own deadline. Stretched on a slow host.
const GRACE: Duration = Duration::from_secs(5);

/// The witnesses on the host, and the folder with their program. Their processes end when the value is dropped.
#[derive(Debug)]
pub(super) struct HostProbes {
    folder: tempfile::TempDir,
    witnesses: Vec<Witness>,
}

/// A witness process, and the files with its output.
#[derive(Debug)]
struct Witness {
    identity: String,
    log: Utf8PathBuf,
    errors: Utf8PathBuf,
    process: Background,
}

/// Why the witnesses on the host could not be started.
#[derive(Debug, thiserror::Error)]
pub enum HostProbesError {
    /// The program cannot be written.
    #[error("write the probe into {folder}")]
    Folder {
        /// The temporary folder.
        folder: String,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// The program cannot be started.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// A witness has ended, for instance because its ports are in use.
    #[error("listen on ports {TCP_PORT} and {UDP_PORT} of the host: {why}")]
    Ended {
        /// The witness's standard error.
        why: String,
    },
    /// A witness does not listen within the deadline.
    #[error("wait for the host's witnesses")]
    Silent(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl HostProbes {
    /// Starts one witness on all addresses, including those that are added later, for H1 and H2, and one on each of
    /// these links. Waits until all of them listen.
    ///
    /// # Errors
    /// [`HostProbesError`]; no process is left.
    pub(super) async fn deploy(links: &[LinkWitness]) -> Result<Self, HostProbesError> {
        let unwritable = |folder: &Utf8Path| {
            let folder = folder.to_string();
            move |source| HostProbesError::Folder { folder, source }
        };
        let folder = tempfile::Builder::new().prefix("homelab-audit-").tempdir();
        let folder = folder.map_err(unwritable(Utf8Path::new("a temporary folder")))?;
        let mut host = Self { folder, witnesses: Vec::new() };
        let path = host.path();
        let program = host.program();
        fs::write(&program, assets::PROBE)
            .and_then(|()| fs::set_permissions(&program, fs::Permissions::from_mode(0o700)))
            .map_err(unwritable(&path))?;
        let on_links = links.iter().map(|at| (at.witness.as_str(), format!("--capture={}", at.link)));
        for (identity, where_to) in [(HOST, everywhere())].into_iter().chain(on_links) {
            let log = path.join(format!("log-{}", host.witnesses.len()));
            let errors = log.with_extension("errors");
            let witness =
                format!("exec {program} witness --identity {identity} {where_to} > {log} 2> {errors}");
            let command = Command::within(Duration::MAX, "sh").args(["-c", &witness]);
            let (identity, process) = (identity.to_owned(), Background::start(&command)?);
            host.witnesses.push(Witness { identity, log, errors, process });
        }
        let witnesses = &mut host.witnesses;
        let within = Slowdown::of_host().stretch(TIMEOUT);
        let ready = wait::until("the host's witnesses".to_owned(), within, async || {
            for witness in witnesses.iter_mut() {
                let log = fs::read_to_string(&witness.log).unwrap_or_default();
                if reports(&log).is_ok_and(|said| matches!(said.first(), Some(WitnessLine::Ready { .. }))) {
                    continue;
                }
                if witness.process.has_ended() {
                    let why = fs::read_to_string(&witness.errors).unwrap_or_default();
                    return Err(HostProbesError::Ended { why: why.trim().to_owned() });
                }
                return Ok(Wait::NotYet(format!("the log of {} is {log:?}", witness.identity)));
            }
            Ok(Wait::Done(()))
        });
        match ready.await {
            Ok(()) => {}
            Err(WaitError::Look { source, .. }) => return Err(source),
            Err(late) => return Err(HostProbesError::Silent(late.into())),
        }
        Ok(host)
    }

    /// Runs a prober on the host and has it send a batch of probes.
    ///
    /// # Errors
    /// Why its answers are missing or incomplete, in words.
    pub(super) async fn ask(&self, batch: &Batch) -> Result<Vec<ProbeResult>, String> {
        let within = Stretched::exactly(Duration::from_millis(batch.deadline_ms));
        let within = within + Slowdown::of_host().stretch(GRACE);
        let batch = serde_json::to_vec(batch).map_err(|error| error.to_string())?;
        let program = self.program();
        let prober = Command::within(within, program.as_str()).arg("prober").input(batch);
        let text = Local.run(&prober).await.map_err(|error| error.to_string())?.text();
        text.lines()
            .map(|line| serde_json::from_str(line).map_err(|error| format!("{error}: {line}")))
            .collect()
    }

    /// The command line of the prober, without its standard input, for the report.
    pub(super) fn command(&self) -> String {
        ask::PROBER.join(" ")
    }

    /// What the witnesses have seen so far, by their identity. Where a log cannot be read, [`Watch::unreadable`] has
    /// the reason.
    pub(super) fn watches(&mut self) -> Vec<(String, Watch)> {
        let watch = |witness: &mut Witness| {
            let alive = !witness.process.has_ended();
            let log = fs::read_to_string(&witness.log).map_err(|error| error.to_string());
            let watch = match log.and_then(|log| reports(&log)) {
                Ok(reports) => Watch::of(&witness.identity, reports, alive),
                Err(why) => Watch { unreadable: Some(why), ..Watch::default() },
            };
            (witness.identity.clone(), watch)
        };
        self.witnesses.iter_mut().map(watch).collect()
    }

    /// Ends the witnesses and removes the folder.
    pub(super) async fn remove(self) {
        futures::future::join_all(self.witnesses.into_iter().map(|witness| witness.process.stop())).await;
    }

    /// The path of the probe's program.
    pub(super) fn program(&self) -> Utf8PathBuf {
        self.path().join("homelab-probe")
    }

    fn path(&self) -> Utf8PathBuf {
        Utf8PathBuf::from_path_buf(self.folder.path().to_owned()).unwrap_or_default()
    }
}

/// The arguments of a witness on all addresses: IPv4, and IPv6 where the kernel has an IPv6 address.
fn everywhere() -> String {
    let has_ipv6 = fs::read_to_string("/proc/net/if_inet6").is_ok_and(|addresses| !addresses.is_empty());
    let wildcards = ["0.0.0.0"].into_iter().chain(has_ipv6.then_some("[::]"));
    let words = wildcards.map(|address| format!("--tcp {address}:{TCP_PORT} --udp {address}:{UDP_PORT}"));
    words.collect::<Vec<_>>().join(" ")
}
