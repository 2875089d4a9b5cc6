//! An inventory of everything on the host that a cluster or an audit could leave behind: links, routes, rules, mounts,
//! processes and so on. Comparing two inventories shows what was left.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::time::Duration;

use provisioner::Provisioner;
use provisioner::exec::{Command, CommandError};
use provisioner::home::Listed;

/// The beginning of a container's cgroup name, as podman chooses it. The cgroup of its conmon is `libpod-conmon-…`.
const CONTAINER: &str = "/libpod-";
/// Programs that run in the host's own PID namespace for an instance or an audit.
const OURS: [&str; 2] = ["conmon", "homelab-probe"];
/// The kind of processes in PID namespaces other than ours: containers, and sandboxes of other programs.
const WITHIN: &str = "process of a container";
/// The kind of cgroups below that of a container.
const PARTS: &str = "cgroup of a container";

/// Everything found on the host, by kind. Two inventories are equal when nothing was left behind or removed between
/// them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inventory {
    kinds: BTreeMap<&'static str, BTreeSet<String>>,
}

/// The differences between two inventories, a line each: `+ link: cable`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    lines: Vec<String>,
}

impl Inventory {
    /// Takes an inventory of the host.
    ///
    /// # Errors
    /// [`CommandError`] when `podman`, `nft` or `ip` fails: an inventory with gaps would prove nothing.
    pub async fn take(provisioner: &Provisioner) -> Result<Self, CommandError> {
        let home = provisioner.home();
        let ask = async |program: &str, args: &[&str]| {
            let command = Command::within(Duration::from_secs(30), program).args(args.iter().copied());
            Ok::<_, CommandError>(lines(&provisioner.runner().run(&command).await?.text()))
        };
        let (processes, within) = processes();
        let (cgroups, parts) = cgroups();
        let kinds = [
            ("cgroup", cgroups),
            (PARTS, parts),
            ("container", ask("podman", &["--remote=false", "ps", "--all", "--format", "{{.Names}}"]).await?),
            (
                "context",
                home.kubeconfigs()
                    .iter()
                    .flat_map(|file| file_lines(file.as_str(), |line| line.contains("name: ")))
                    .collect(),
            ),
            // Only homes whose folder exists: the next claim of any home removes the other entries, at any time.
            ("home", Listed::of_host().there().into_iter().map(|(id, _)| id).collect()),
            ("host name", file_lines("/etc/hosts", |_| true)),
            ("host setting", settings()),
            ("instance", file_lines(home.registry().as_str(), |line| line.contains("\"name\""))),
            ("instance folder", names(home.root().join("instances").as_str())),
            ("link", names("/sys/class/net")),
            ("mount", file_lines("/proc/self/mounts", |_| true)),
            ("namespace", names("/run/homelab/netns").union(&names("/run/netns")).cloned().collect()),
            // Without elements of named sets: packets add some.
            ("nft rule", ask("nft", &["--stateless", "--terse", "list", "ruleset"]).await?),
            ("process", processes),
            (WITHIN, within),
            ("route", lasting(ask("ip", &["route", "show", "table", "all"]).await?)),
            ("route, IPv6", lasting(ask("ip", &["-6", "route", "show", "table", "all"]).await?)),
            ("trust anchor", names("/usr/local/share/ca-certificates")), // Debian's folder
        ];
        Ok(Self { kinds: kinds.into_iter().collect() })
    }

    /// What was added and removed since `before`; `None` when both are equal.
    pub fn since(&self, before: &Self) -> Option<Difference> {
        let lines = self.changes(before, |_| true);
        (!lines.is_empty()).then_some(Difference { lines })
    }

    /// What was added (`+ link: cable`) and removed (`- link: cable`) since `before`, except processes and cgroups
    /// within containers. For hosts on which containers run before and after: programs in them start and end at any
    /// time.
    pub fn left_since(&self, before: &Self) -> Vec<String> {
        self.changes(before, |kind| ![WITHIN, PARTS].contains(&kind))
    }

    fn changes(&self, before: &Self, counts: impl Fn(&str) -> bool) -> Vec<String> {
        let mut changes = Vec::new();
        for (kind, now) in self.kinds.iter().filter(|(kind, _)| counts(kind)) {
            let then = &before.kinds[kind];
            changes.extend(now.difference(then).map(|new| format!("+ {kind}: {new}")));
            changes.extend(then.difference(now).map(|gone| format!("- {kind}: {gone}")));
        }
        changes
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lines.join("\n"))
    }
}

fn lines(text: &str) -> BTreeSet<String> {
    text.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect()
}

/// Routes without their `expires` seconds. Routes by router advertisements (RFC 4861) have them; they count down and
/// are reset. Pure.
fn lasting(routes: BTreeSet<String>) -> BTreeSet<String> {
    let lasting = |route: String| {
        let mut words: Vec<&str> = route.split_whitespace().collect();
        if let Some(at) = words.iter().position(|word| *word == "expires") {
            words.drain(at..words.len().min(at + 2));
        }
        words.join(" ")
    };
    routes.into_iter().map(lasting).collect()
}

fn file_lines(path: &str, wanted: impl Fn(&str) -> bool) -> BTreeSet<String> {
    let text = fs::read_to_string(path).unwrap_or_default(); // a missing file has no lines
    text.lines().filter(|line| wanted(line)).map(|line| line.trim().to_owned()).collect()
}

fn names(folder: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// The kernel settings that container tools often change.
fn settings() -> BTreeSet<String> {
    let keys = ["ipv4/ip_forward", "ipv4/conf/all/rp_filter", "ipv6/conf/all/forwarding"];
    let value = |key: &str| fs::read_to_string(format!("/proc/sys/net/{key}")).unwrap_or_default();
    keys.iter().map(|key| format!("{key} = {}", value(key).trim())).collect()
}

/// Processes, as (outside of containers, within). Outside count only homelab's own programs and conmon, because a
/// host's other processes start and end at any time. Within are all that have another PID namespace than ours. Zombies
/// do not count: process 1 of the host decides when it reaps them.
fn processes() -> (BTreeSet<String>, BTreeSet<String>) {
    let ours = fs::read_link("/proc/self/ns/pid").ok();
    let pids = names("/proc").into_iter().filter(|name| name.chars().all(|c| c.is_ascii_digit()));
    let listed = pids.filter_map(|pid| {
        let lives = fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty());
        let program = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?.trim().to_owned();
        let foreign = fs::read_link(format!("/proc/{pid}/ns/pid")).ok()? != *ours.as_ref()?;
        (lives && (foreign || OURS.contains(&program.as_str())))
            .then(|| (format!("{pid} {program}"), foreign))
    });
    split(listed)
}

/// Cgroups, as (those of containers, those below them).
fn cgroups() -> (BTreeSet<String>, BTreeSet<String>) {
    let mut found = Vec::new();
    let mut open = vec!["/sys/fs/cgroup".to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
            if let Some((_, below)) = path.split_once(CONTAINER) {
                found.push((path.clone(), below.contains('/')));
            }
            open.push(path);
        }
    }
    split(found)
}

/// Names as (outside of containers, within), by the flag of each. Pure.
fn split(listed: impl IntoIterator<Item = (String, bool)>) -> (BTreeSet<String>, BTreeSet<String>) {
    let (within, outside): (Vec<_>, Vec<_>) = listed.into_iter().partition(|(_, within)| *within);
    let names = |all: Vec<(String, bool)>| all.into_iter().map(|(name, _)| name).collect();
    (names(outside), names(within))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(kind: &'static str, things: &[&str]) -> Inventory {
        let of = |kind: &'static str, things: &[&str]| {
            (kind, things.iter().map(|&thing| thing.to_owned()).collect())
        };
        let mut kinds = BTreeMap::from([of("link", &["lo"]), of(WITHIN, &["7 nft"]), of(PARTS, &["pod"])]);
        kinds.extend([of(kind, things)]);
        Inventory { kinds }
    }

    #[test]
    fn an_advertised_route_is_compared_without_its_remaining_lifetime() {
        // As Debian 13 prints a route.
        let route = |via: &str, seconds: u32| {
            let line = format!(
                "default nhid 7 via {via} dev ens3 proto ra metric 1024 expires {seconds}sec pref medium"
            );
            lasting(BTreeSet::from([line]))
        };
        assert_eq!(route("fe80::2", 1720), route("fe80::2", 1423));
        assert_ne!(route("fe80::2", 1720), route("fe80::3", 1720));
        assert!(route("fe80::2", 1).first().unwrap().ends_with("metric 1024 pref medium"));
    }

    #[test]
    fn changes_within_containers_are_differences_but_no_leftovers() {
        let before = with("link", &["lo"]);
        for (kind, is_left) in [(WITHIN, false), (PARTS, false), ("link", true)] {
            let after = with(kind, &["lo", "new"]);
            assert!(after.since(&before).is_some(), "{kind}");
            assert_eq!(!after.left_since(&before).is_empty(), is_left, "{kind}");
            assert_eq!(!before.left_since(&after).is_empty(), is_left, "{kind}");
        }
    }
}
