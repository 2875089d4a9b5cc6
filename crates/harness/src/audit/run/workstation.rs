//! The workstation's own part in a run: a prober and a witness as processes, and what the host says of itself.
//!
//! The program is the one that the pods run. It lies in a temporary folder for as long as the run takes.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use probe::{Batch, Report, Said};
use provisioner::exec::{Background, Command, CommandError, Local, Runner};
use provisioner::registry::Instance;
use provisioner::{Provisioner, assets};

use crate::audit::{Host, TCP_PORT, UDP_PORT, WORKSTATION, Watch};
use crate::wait::{self, Wait};

use super::stage::reports;

/// How long the witness may take to listen.
const PATIENCE: Duration = Duration::from_secs(10);
/// What a prober may take beyond its own deadline.
const GRACE: Duration = Duration::from_secs(5);

/// A prober and witnesses on the workstation.
#[derive(Debug)]
pub(super) struct Workstation {
    folder: tempfile::TempDir,
    witnesses: Vec<Witness>,
}

/// A witness, and the file that it writes.
#[derive(Debug)]
struct Witness {
    identity: String,
    log: Utf8PathBuf,
    process: Background,
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
    /// The witness does not listen.
    #[error("wait for the workstation's witness: {why}")]
    Silent {
        /// What it said last.
        why: String,
    },
}

impl Workstation {
    /// Starts the witness on every address, which is what H1 and H2 ask for, and one on each of these links, by their
    /// identities. They end with this value.
    pub(super) async fn set(links: &[(String, String)]) -> Result<Self, WorkstationError> {
        let unwritable = |folder: &Utf8Path| {
            let folder = folder.to_string();
            move |source| WorkstationError::Folder { folder, source }
        };
        let folder = tempfile::Builder::new().prefix("homelab-audit-").tempdir();
        let folder = folder.map_err(unwritable(Utf8Path::new("a temporary folder")))?;
        let mut workstation = Self { folder, witnesses: Vec::new() };
        let path = workstation.path();
        let program = path.join("homelab-probe");
        fs::write(&program, assets::PROBE)
            .and_then(|()| fs::set_permissions(&program, fs::Permissions::from_mode(0o700)))
            .map_err(unwritable(&path))?;
        let on_links = links.iter().map(|(identity, link)| (identity.as_str(), format!("--capture={link}")));
        for (identity, where_to) in [(WORKSTATION, everywhere())].into_iter().chain(on_links) {
            let log = path.join(format!("log-{}", workstation.witnesses.len()));
            let witness = format!("exec {program} witness --identity {identity} {where_to} > {log}");
            let command = Command::within(Duration::MAX, "sh").args(["-c", &witness]);
            let (identity, process) = (identity.to_owned(), Background::start(&command)?);
            workstation.witnesses.push(Witness { identity, log, process });
        }
        let ready = wait::until("the workstation's witnesses".to_owned(), PATIENCE, async || {
            let deaf = workstation.witnesses.iter().find_map(|witness| {
                let log = fs::read_to_string(&witness.log).unwrap_or_default();
                let said = reports(&log);
                let ready = said.is_ok_and(|said| matches!(said.first(), Some(Report::Ready { .. })));
                (!ready).then(|| format!("{} has said {log:?}", witness.identity))
            });
            Ok::<_, io::Error>(deaf.map_or(Wait::Done(()), Wait::NotYet))
        });
        ready.await.map_err(|error| WorkstationError::Silent { why: provisioner::error::chain(&error) })?;
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

    /// What the witnesses have seen so far, by their identity.
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
    pub(super) async fn strike(self) {
        futures::future::join_all(self.witnesses.into_iter().map(|witness| witness.process.stop())).await;
    }

    fn path(&self) -> Utf8PathBuf {
        Utf8PathBuf::from_path_buf(self.folder.path().to_owned()).unwrap_or_default()
    }
}

/// Where a witness on all addresses listens. A kernel without IPv6 has no such table, and no such address.
fn everywhere() -> String {
    let has_ipv6 = fs::read_to_string("/proc/net/if_inet6").is_ok_and(|addresses| !addresses.is_empty());
    let wildcards = ["0.0.0.0"].into_iter().chain(has_ipv6.then_some("[::]"));
    let words = wildcards.map(|address| format!("--tcp {address}:{TCP_PORT} --udp {address}:{UDP_PORT}"));
    words.collect::<Vec<_>>().join(" ")
}

/// What the workstation says of itself; what cannot be read stays unknown.
pub(super) async fn host(provisioner: &Provisioner) -> Host {
    let addresses = addresses().await;
    let listeners = fs::read_to_string("/proc/net/tcp").map(|table| listeners(&table)).unwrap_or_default();
    let mut keys: Vec<String> = addresses.iter().map(|(link, _)| link.clone()).collect();
    keys.push("all".to_owned());
    let setting = |link: &String| {
        let value = fs::read_to_string(format!("/proc/sys/net/ipv4/conf/{link}/route_localnet")).ok()?;
        Some((format!("net.ipv4.conf.{link}.route_localnet"), value.trim().to_owned()))
    };
    Host {
        settings: keys.iter().filter_map(setting).collect::<BTreeMap<_, _>>(),
        addresses,
        witness: WORKSTATION.to_owned(),
        listeners,
        forwards: None,
        networks: networks(provisioner).await,
        disagreements: disagreements(provisioner).await,
    }
}

/// All addresses but loopback, with their links.
async fn addresses() -> Vec<(String, IpAddr)> {
    let show = Command::within(Duration::from_secs(10), "ip").args(["-oneline", "address", "show"]);
    let text = Local.run(&show).await.map(|output| output.text()).unwrap_or_default();
    let address = |line: &str| {
        let mut words = line.split_whitespace().skip(1);
        let link = words.next()?.to_owned();
        let address: IpAddr = words.nth(1)?.split('/').next()?.parse().ok()?;
        (!address.is_loopback()).then_some((link, address))
    };
    text.lines().filter_map(address).collect()
}

/// The ports of all sockets that listen on 0.0.0.0, out of `/proc/net/tcp` (proc_net(5)): state 0A is LISTEN.
fn listeners(table: &str) -> Vec<u16> {
    let port = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (address, port) = words.get(1)?.split_once(':')?;
        (address == "00000000" && words.get(3) == Some(&"0A")).then(|| u16::from_str_radix(port, 16).ok())?
    };
    let mut ports: Vec<u16> = table.lines().skip(1).filter_map(port).collect();
    ports.retain(|port| *port != TCP_PORT); // the run's own witness
    ports.sort_unstable();
    ports.dedup();
    ports
}

async fn networks(provisioner: &Provisioner) -> Option<Vec<(String, ipnet::Ipv4Net)>> {
    let found = provisioner.host_networks().await.ok()?;
    Some(found.into_iter().map(|network| (network.interface, network.net)).collect())
}

/// What the registry and the engine disagree about.
async fn disagreements(provisioner: &Provisioner) -> Option<Vec<String>> {
    let sightings = provisioner.engine().sightings().await.ok()?;
    let instances: Vec<Instance> = provisioner.registry().instances().ok()?;
    let known = |name: &str| instances.iter().any(|instance| instance.name == name);
    let strays = sightings.iter().filter(|sighting| !known(&sighting.instance));
    let mut found: Vec<String> = strays.map(|stray| format!("no instance explains {stray}")).collect();
    let seen = |name: &str| sightings.iter().any(|sighting| sighting.instance == name);
    let ghosts = instances.iter().filter(|instance| !seen(&instance.name));
    found.extend(ghosts.map(|ghost| format!("nothing is there of {}", ghost.name)));
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_on_all_addresses_are_found_in_the_kernels_table() {
        let table = "  sl  local_address rem_address   st tx_queue\n   0: 00000000:0016 00000000:0000 0A 0\n   \
                     1: 0100007F:0035 00000000:0000 0A 0\n   2: 00000000:1B59 00000000:0000 0A 0\n   \
                     3: 00000000:0050 0100007F:1F90 01 0\n";
        assert_eq!(listeners(table), [22]);
    }
}
