//! The host watched: the guard is put back as soon as somebody changes it, and what it refuses is recorded.
//!
//! The kernel says when rules, links, addresses, routes and forwarding change (`notices`), and which packets the guard
//! refuses (`refusals`); the other settings of links are read every few seconds, because nobody tells of these. Neither
//! a flood of packets nor a program that fights the guard fills the disk: `tally` decides what becomes an event.
//! Nothing of this is needed for isolation: every verb as root puts the guard back as well, when it runs.

mod notices;
mod refusals;
mod tally;
mod who;

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use camino::Utf8Path;
use tokio::time::{MissedTickBehavior, interval, sleep_until, timeout};

use crate::error::Hint;
use crate::events::{Crossing, Event};
use crate::fabric::{self, FabricError, Kept};
use crate::files::{FileError, Lock, failed};
use crate::kubernetes::kubectl_as_admin;
use crate::provision::Provisioner;

use notices::Notices;
#[cfg(feature = "fuzzing")]
pub use refusals::read_netlink;
use refusals::{Refusal, Refusals};
use tally::Tally;
use who::Known;

/// Held by the one watch of this host; its process id is in it, for people.
const LOCK: &str = "/run/homelab/watch.lock";
/// How long the kernel must have been silent before the guard is looked at: a reload changes many things at once.
const SETTLED: Duration = Duration::from_millis(50);
/// The least time between two looks: somebody may fight the guard, or change links all the time.
const BETWEEN: Duration = Duration::from_secs(1);
/// How often settings are read of which nobody tells.
const SETTINGS: Duration = Duration::from_secs(5);
/// How often everything is looked at, whatever was told.
const EVERYTHING: Duration = Duration::from_secs(60);
/// How long a cluster may take to say which pod has an address.
const ASK: Duration = Duration::from_secs(3);

/// Why this host is not watched.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// Another process watches it.
    #[error("this host is watched already{}", by(.pid))]
    Watched {
        /// Its process id, where it can be read.
        pid: Option<u32>,
    },
    /// The lock of the one watch, or its folder.
    #[error(transparent)]
    File(#[from] FileError),
    /// The kernel does not tell what happens.
    #[error("have the kernel tell of {what}")]
    Listen {
        /// `changes of the network`, `packets that the host guard refuses`.
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
                Some("one watch is enough for all homes of a host; end that one first".to_owned())
            }
            Self::File(error) => error.hint(),
            Self::Listen { .. } => None,
        }
    }
}

/// What a watch has to say beside its events.
#[derive(Debug)]
pub enum Said<'a> {
    /// How refusals become known: by packet, or by numbers alone where the kernel has no nfnetlink_log.
    Begun {
        /// Whether packets are reported.
        by_packet: bool,
    },
    /// The guard could not be looked at or put back; it is tried again.
    Failed(&'a FabricError),
}

/// The one watch of this host.
#[derive(Debug)]
pub struct Watch {
    provisioner: Provisioner,
    notices: Notices,
    refusals: Option<Refusals>,
    crossings: Tally<Kind>,
    /// By what differed, in words.
    restorations: Tally<Vec<String>>,
    /// Refused packets by link, where that is all there is.
    counted: BTreeMap<String, u64>,
    _alone: Lock,
}

/// Attempts of one kind are told together.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Kind {
    from: IpAddr,
    to: IpAddr,
    protocol: u8,
    port: Option<u16>,
}

impl Watch {
    /// Begins to listen. Needs root.
    ///
    /// # Errors
    /// [`WatchError`]
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

    /// Watches until it is dropped.
    pub async fn run(&mut self, say: &mut dyn FnMut(Said<'_>)) {
        say(Said::Begun { by_packet: self.refusals.is_some() });
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

    async fn look(&mut self, say: &mut dyn FnMut(Said<'_>)) {
        match self.provisioner.put_guard_back().await {
            Ok(Kept::Restored { deviations }) => {
                let differed: Vec<String> = deviations.iter().map(ToString::to_string).collect();
                if self.restorations.note("", Some(differed.clone()), Instant::now()) {
                    self.provisioner.events().publish(self.provisioner.guard_restored(differed, 1));
                }
            }
            Ok(Kept::NotNeeded | Kept::AsBuilt | Kept::Opened { .. }) => {}
            Err(error) => say(Said::Failed(&error)),
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

    /// Reads the numbers of refused packets, where that is all there is.
    async fn count(&mut self) {
        let Ok(counted) = fabric::refused_packets(self.provisioner.runner().as_ref()).await else { return };
        for (link, packets) in &counted {
            // The numbers begin anew with the guard.
            let before = self.counted.get(link).filter(|before| *before <= packets).unwrap_or(&0);
            self.crossings.note_some(link, packets - before, Instant::now());
        }
        self.counted = counted;
    }

    /// Tells what was counted, as far as its time has come.
    async fn tell(&mut self) {
        for due in self.crossings.due(Instant::now()) {
            self.publish(&due.link, due.kind, due.times).await;
        }
        for due in self.restorations.due(Instant::now()) {
            let differed = due.kind.unwrap_or_else(|| vec!["more than is told one by one".to_owned()]);
            self.provisioner.events().publish(self.provisioner.guard_restored(differed, due.times));
        }
    }

    async fn publish(&self, link: &str, kind: Option<Kind>, attempts: u64) {
        let known = Known::of(&self.provisioner);
        let instance =
            known.of_link(link).or_else(|| kind.as_ref().and_then(|kind| known.of_address(kind.from)));
        let crossing = match kind {
            None => None,
            Some(Kind { from, to, protocol, port }) => Some(Crossing {
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

    /// Who has an address: a node, or a pod, by its name if its cluster says so in time.
    async fn sender(&self, known: &Known, address: IpAddr) -> Option<String> {
        let Some((instance, node)) = known.pod_node(address) else { return known.name_of(address) };
        let asked = timeout(ASK, pod_name(&self.provisioner, instance, address)).await.ok().flatten();
        Some(format!("pod {} on {node}", asked.unwrap_or_else(|| address.to_string())))
    }
}

/// What was refused next; never anything where nobody tells.
async fn next(refusals: &mut Option<Refusals>) -> Vec<Refusal> {
    match refusals {
        Some(refusals) => refusals.next().await,
        None => std::future::pending().await,
    }
}

/// `default/web`: the pod that has an address, as its cluster says.
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

/// The lock of the one watch, with this process's id in it.
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
