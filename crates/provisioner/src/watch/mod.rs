//! Watches the host: restores the host guard as soon as it is changed, and records the packets that it refuses.
//!
//! The kernel reports changes of rules, links, addresses, routes and forwarding (`notices`), and the packets that the
//! guard refuses (`refusals`). It does not report the other settings of links, so these are read every few seconds. A
//! flood of packets, or a program that changes the guard again and again, does not fill the disk: `tally` limits the
//! events. Isolation does not depend on the watch: every command that runs as root also restores the guard.

mod notices;
mod refusals;
mod tally;
mod names;

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use camino::Utf8Path;
use tokio::time::{MissedTickBehavior, interval, sleep_until, timeout};

use crate::error::Hint;
use crate::events::{Event, RefusedPacket};
use crate::fabric::{self, FabricError, Restoration};
use crate::files::{FileError, Lock, failed};
use crate::kubernetes::kubectl_as_admin;
use crate::provision::Provisioner;

use names::Names;
use notices::Notices;
#[cfg(feature = "fuzzing")]
pub use refusals::read_netlink;
use refusals::{Refusal, Refusals};
use tally::Tally;

/// The lock file of the one watch of this host. Its text is the pid of the watch, for people to read.
const LOCK: &str = "/run/homelab/watch.lock";
/// The delay from the last notice to the check of the guard: a reload of rules changes many things at once.
const SETTLED: Duration = Duration::from_millis(50);
/// The shortest time between two checks of the guard: a program may change the guard or links all the time.
const BETWEEN: Duration = Duration::from_secs(1);
/// The time between two reads of the settings that the kernel does not report.
const SETTINGS: Duration = Duration::from_secs(5);
/// The longest time between two checks of the whole guard, also without a notice.
const EVERYTHING: Duration = Duration::from_secs(60);
/// The time-out of the question to a cluster which pod has an address.
const ASK: Duration = Duration::from_secs(3);

/// Why the watch did not begin.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// Another process watches this host.
    #[error("this host is watched already{}", by(.pid))]
    Watched {
        /// The pid of the other process; `None` if it cannot be read.
        pid: Option<u32>,
    },
    /// The lock file or its folder cannot be made, read or locked.
    #[error(transparent)]
    File(#[from] FileError),
    /// The kernel refuses a subscription.
    #[error("subscribe to the kernel's reports of {what}")]
    Listen {
        /// The subject of the reports: `changes of the network`, `packets that the host guard refuses`.
        what: &'static str,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
}

fn by(pid: &Option<u32>) -> String {
    pid.map(|pid| format!(", by process {pid}")).unwrap_or_default()
}

impl Hint for WatchError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Watched { .. } => {
                Some("one watch serves all homes of a host; end the other one first".to_owned())
            }
            Self::File(error) => error.hint(),
            Self::Listen { .. } => None,
        }
    }
}

/// A report of the watch to its caller, beside its events.
#[derive(Debug)]
pub enum Notice<'a> {
    /// The watch has begun.
    Begun {
        /// Whether the kernel reports each refused packet. `false` where it has no nfnetlink_log: then the watch reads
        /// the guard's counters.
        by_packet: bool,
    },
    /// The guard could not be read or restored; the watch tries again.
    Failed(&'a FabricError),
}

/// The one watch of this host.
#[derive(Debug)]
pub struct Watch {
    provisioner: Provisioner,
    notices: Notices,
    refusals: Option<Refusals>,
    crossings: Tally<Kind>,
    /// The restorations of the guard, by their deviations in words.
    restorations: Tally<Vec<String>>,
    /// The counters of refused packets by link, where the kernel does not report packets.
    counted: BTreeMap<String, u64>,
    _alone: Lock,
}

/// The kind of a refused packet. Packets of one kind are reported together.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Kind {
    from: IpAddr,
    to: IpAddr,
    protocol: u8,
    port: Option<u16>,
}

impl Watch {
    /// Takes the lock of the watch and subscribes to the kernel's reports. Needs root.
    ///
    /// # Errors
    /// [`WatchError::Watched`] while another process watches this host; [`WatchError::File`] when the lock file cannot
    /// be made, locked or written; [`WatchError::Listen`] when the kernel refuses a subscription.
    pub fn begin(provisioner: Provisioner) -> Result<Self, WatchError> {
        let alone = alone()?;
        let listen = |what| move |source| WatchError::Listen { what, source };
        Ok(Self {
            provisioner,
            notices: Notices::open().map_err(listen("changes of the network"))?,
            refusals: Refusals::open().map_err(listen("packets that the host guard refuses"))?,
            crossings: Tally::default(),
            restorations: Tally::default(),
            counted: BTreeMap::new(),
            _alone: alone,
        })
    }

    /// Watches until the future is dropped; it does not end by itself.
    pub async fn run(&mut self, say: &mut dyn FnMut(Notice<'_>)) {
        say(Notice::Begun { by_packet: self.refusals.is_some() });
        let mut settings = interval(SETTINGS);
        settings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut due, mut earliest) = (Some(Instant::now()), Instant::now());
        loop {
            let look = due.unwrap_or_else(|| earliest + EVERYTHING);
            tokio::select! {
                () = self.notices.next() => due = Some(earliest.max(Instant::now() + SETTLED)),
                refused = next(&mut self.refusals) => self.note(refused).await,
                _ = settings.tick() => {
                    if !fabric::has_closed_settings().unwrap_or(false) {
                        due = Some(earliest.max(Instant::now()));
                    }
                    if self.refusals.is_none() {
                        self.count().await;
                    }
                    self.tell().await;
                }
                () = sleep_until(look.into()) => {
                    self.look(say).await;
                    (due, earliest) = (None, Instant::now() + BETWEEN);
                }
            }
        }
    }

    async fn look(&mut self, say: &mut dyn FnMut(Notice<'_>)) {
        match self.provisioner.put_guard_back().await {
            Ok(Restoration::Restored { deviations }) => {
                let differed: Vec<String> = deviations.iter().map(ToString::to_string).collect();
                if self.restorations.note("", Some(differed.clone()), Instant::now()) {
                    self.provisioner.events().publish(self.provisioner.guard_restored(differed, 1));
                }
            }
            Ok(Restoration::NotNeeded | Restoration::AsBuilt | Restoration::Opened { .. }) => {}
            Err(error) => say(Notice::Failed(&error)),
        }
    }

    async fn note(&mut self, refused: Vec<Refusal>) {
        for Refusal { link, from, to, protocol, port } in refused {
            let link = fabric::link_name(link).await.unwrap_or_else(|| format!("link {link}"));
            let kind = Kind { from, to, protocol, port };
            if self.crossings.note(&link, Some(kind.clone()), Instant::now()) {
                self.publish(&link, Some(kind), 1).await;
            }
        }
    }

    /// Reads the counters of refused packets, where the kernel does not report packets.
    async fn count(&mut self) {
        let Ok(counted) = fabric::refused_packets(self.provisioner.runner().as_ref()).await else { return };
        for (link, packets) in &counted {
            // The counters begin with 0 again when the guard's rules are loaded.
            let before = self.counted.get(link).filter(|before| *before <= packets).unwrap_or(&0);
            self.crossings.note_some(link, packets - before, Instant::now());
        }
        self.counted = counted;
    }

    /// Publishes the counts whose time is over.
    async fn tell(&mut self) {
        for due in self.crossings.due(Instant::now()) {
            self.publish(&due.link, due.kind, due.times).await;
        }
        for due in self.restorations.due(Instant::now()) {
            let differed =
                due.kind.unwrap_or_else(|| vec!["more changes than are listed one by one".to_owned()]);
            self.provisioner.events().publish(self.provisioner.guard_restored(differed, due.times));
        }
    }

    async fn publish(&self, link: &str, kind: Option<Kind>, attempts: u64) {
        let known = Names::of(&self.provisioner);
        let instance =
            known.of_link(link).or_else(|| kind.as_ref().and_then(|kind| known.of_address(kind.from)));
        let crossing = match kind {
            None => None,
            Some(Kind { from, to, protocol, port }) => Some(RefusedPacket {
                from,
                sender: self.sender(&known, from).await,
                to,
                target: known.name_of(to),
                protocol: protocol_name(protocol),
                port,
            }),
        };
        let instance = instance.map(str::to_owned);
        self.provisioner.events().publish(Event::CrossingRefused {
            instance,
            link: link.to_owned(),
            crossing,
            attempts,
        });
    }

    /// The sender of a packet: a node, or a pod with its name, if its cluster answers in time, or with its address.
    async fn sender(&self, known: &Names, address: IpAddr) -> Option<String> {
        let Some((instance, node)) = known.pod_node(address) else { return known.name_of(address) };
        let asked = timeout(ASK, pod_name(&self.provisioner, instance, address)).await.ok().flatten();
        Some(format!("pod {} on {node}", asked.unwrap_or_else(|| address.to_string())))
    }
}

/// The next refused packets; pending for ever where the kernel does not report packets.
async fn next(refusals: &mut Option<Refusals>) -> Vec<Refusal> {
    match refusals {
        Some(refusals) => refusals.next().await,
        None => std::future::pending().await,
    }
}

/// The pod that has an address, such as `default/web`, by its API server; `None` if the API server does not answer.
async fn pod_name(provisioner: &Provisioner, instance: &str, address: IpAddr) -> Option<String> {
    let cluster = provisioner.attach(instance).await.ok()?;
    let first = &cluster.nodes.first;
    let ask = kubectl_as_admin(ASK)
        .args(["--request-timeout=2s", "get", "pods"])
        .args(["--all-namespaces", &format!("--field-selector=status.podIP={address}")])
        .args(["--no-headers", "--output=custom-columns=:.metadata.namespace,:.metadata.name"]);
    let answer = first.run(&ask).await.ok()?.text();
    let mut words = answer.split_whitespace();
    Some(format!("{}/{}", words.next()?, words.next()?))
}

fn protocol_name(number: u8) -> String {
    match number {
        1 => "icmp".to_owned(),
        6 => "tcp".to_owned(),
        17 => "udp".to_owned(),
        other => other.to_string(),
    }
}

/// Takes the lock of the one watch, and writes this process's pid into the file.
fn alone() -> Result<Lock, WatchError> {
    let path = Utf8Path::new(LOCK);
    let folder = path.parent().unwrap_or(Utf8Path::new("/"));
    std::fs::create_dir_all(folder).map_err(failed("make", folder))?;
    match Lock::try_of_file(path)? {
        Some(mut lock) => {
            lock.sign(path)?;
            Ok(lock)
        }
        None => Err(WatchError::Watched { pid: Lock::signature(path) }),
    }
}
