//! The requirements of a host, checked against facts. Pure; `commands/doctor.rs` collects the facts.

pub(crate) mod homes;
pub(crate) mod vagrant;

use provisioner::assets::DISK_SPACE;
use provisioner::capacity::{Demand, Resource, Room};
use provisioner::engine::MissingRequirement;
use provisioner::error::chain;
use provisioner::fabric::{FabricError, Inspection};
use provisioner::request::ClusterSpec;
use provisioner::request::KUBERNETES_VERSION;
use provisioner::request::matrix::{Combination, TESTED};
use serde::Serialize;

use crate::guard::REMEDY;

/// The facts about this host.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    /// The missing requirements for running container nodes.
    pub(crate) to_run: Vec<MissingRequirement>,
    /// The missing tools for building the node image, without those that are in `to_run`.
    pub(crate) to_build: Vec<MissingRequirement>,
    /// The folder of the node image; `None` if it is not built.
    pub(crate) image: Option<String>,
    /// The kernel's configuration; `None` if it cannot be read.
    pub(crate) kernel_config: Option<String>,
    /// The layout of the cgroups: `unified`, `hybrid` or `legacy`; `None` if none are mounted.
    pub(crate) cgroup: Option<String>,
    /// Whether the host's processor is emulated.
    pub(crate) is_emulated: bool,
    /// The capacity that is left for clusters, or why it cannot be determined; `None` for a simulated host.
    pub(crate) room: Option<Result<Room, String>>,
    /// Free space in MiB, each with the folder in which it was measured.
    pub(crate) disks: Vec<(String, u64)>,
    /// The homes and caches of this host; `None` if they were not inspected.
    pub(crate) homes: Option<homes::Facts>,
    /// Support for VMs; `None` if it was not inspected.
    pub(crate) vagrant: Option<vagrant::Facts>,
    /// The host guard, `Ok(None)` if no guard is needed; `None` if it was not inspected.
    pub(crate) guard: Option<Result<Option<Inspection>, FabricError>>,
}

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Grade {
    /// The requirement is met.
    Good,
    /// Worth knowing: homelab works all the same, or the check could not be made.
    Note,
    /// homelab cannot work before this is fixed.
    Bad,
}

/// One check with its outcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Check {
    /// How it ended.
    pub(crate) grade: Grade,
    /// What was found.
    pub(crate) what: String,
    /// What to do about it, or a detail. `null` if there is nothing to add.
    pub(crate) remedy: Option<String>,
}

/// The required features of the kernel, by their options in its configuration.
const FEATURES: [(&str, &str); 6] = [
    ("CONFIG_NET_NS", "network namespaces"),
    ("CONFIG_VETH", "veth pairs"),
    ("CONFIG_BRIDGE", "bridges"),
    ("CONFIG_NF_TABLES", "nftables"),
    ("CONFIG_OVERLAY_FS", "overlay file systems"),
    ("CONFIG_CGROUP_BPF", "BPF in cgroups"),
];

/// The space that a node image and the files of a few clusters need, in MiB.
const DISK_MIB: u64 = 10 * 1024;
/// The same as long as the node image is not built: with the space without which a build refuses to begin, in MiB.
const DISK_TO_BUILD_MIB: u64 = DISK_MIB + (DISK_SPACE >> 20);

/// All checks, in the order in which problems should be fixed.
pub(crate) fn checks(facts: &Facts) -> Vec<Check> {
    let mut checks: Vec<Check> = facts.homes.iter().flat_map(homes::checks).collect();
    checks.extend(lacking(&facts.to_run, "all requirements for running nodes are met", Grade::Bad));
    let to_build = if facts.image.is_some() { Grade::Note } else { Grade::Bad };
    checks.extend(lacking(&facts.to_build, "all tools for building the node image are installed", to_build));
    checks.push(match &facts.image {
        Some(path) => good(format!("node image {path}")),
        None => note(
            "the node image is not built",
            "`sudo homelab assets build` builds it, and so does the first `up`; `sudo homelab assets import FILE` \
             imports one that another host has exported, and needs no build tools",
        ),
    });
    checks.extend(kernel(facts.kernel_config.as_deref()));
    checks.push(match facts.cgroup.as_deref() {
        Some(layout) => good(format!("cgroups, {layout} layout")),
        None => bad("no cgroups are mounted below /sys/fs/cgroup", "boot with systemd, or mount them"),
    });
    if facts.is_emulated {
        checks.push(note(
            "the processor of this host is emulated (QEMU without KVM): commands take about ten times as long, and \
             homelab's deadlines are ten times as long",
            "run this host with KVM, or on hardware",
        ));
    }
    checks.extend(match &facts.room {
        Some(Ok(room)) => fitting(room),
        Some(Err(why)) => vec![note("the capacity for clusters cannot be determined", why)],
        None => Vec::new(),
    });
    let needed = if facts.image.is_some() { DISK_MIB } else { DISK_TO_BUILD_MIB };
    for (folder, free) in &facts.disks {
        let what = format!("{:.1} GiB are free for {folder}", gib(*free));
        let remedy = format!("free some space, {} GiB are needed", needed / 1024);
        checks.push(if *free < needed { bad(&what, &remedy) } else { good(what) });
    }
    checks.extend(facts.guard.iter().flat_map(guard));
    checks.extend(facts.vagrant.iter().flat_map(|facts_of| vagrant::checks(facts_of, &facts.to_run)));
    checks
}

/// Checks whether the host guard is intact. No check if no guard is needed.
fn guard(look: &Result<Option<Inspection>, FabricError>) -> Vec<Check> {
    let look = match look {
        Ok(None) => return Vec::new(),
        Ok(Some(look)) => look,
        Err(error) => return vec![note("the host guard cannot be inspected", &chain(error))],
    };
    let differs = look.deviations.iter().map(|deviation| {
        let what = format!("the host guard: {deviation}");
        let remedy = deviation.is_ours().then(|| {
            format!(
                "`{REMEDY}` restores it, and so does the next command as root that works with an instance"
            )
        });
        Check { grade: if deviation.is_ours() { Grade::Bad } else { Grade::Note }, what, remedy }
    });
    let mut checks: Vec<Check> = differs.collect();
    if look.is_as_built() {
        checks.push(match look.has_rules {
            true => good("the host guard is intact".to_owned()),
            false => note(
                "the host guard's routes and settings are intact",
                "only root can check the guard's rules",
            ),
        });
    }
    checks
}

/// A check for each missing requirement, or one check with `all_is_well` if none is missing.
fn lacking(lacks: &[MissingRequirement], all_is_well: &str, grade: Grade) -> Vec<Check> {
    if lacks.is_empty() {
        return vec![good(all_is_well.to_owned())];
    }
    let check = |lack: &MissingRequirement| Check {
        grade,
        what: lack.what.clone(),
        remedy: Some(lack.remedy.clone()),
    };
    lacks.iter().map(check).collect()
}

/// The capacity that is left, and how many more clusters of each tested kind it holds; each number is for that kind
/// alone.
fn fitting(room: &Room) -> Vec<Check> {
    let kinds = TESTED.iter().filter(|row| row.kubernetes == KUBERNETES_VERSION);
    let kinds: Vec<(&Combination, Demand)> = kinds.filter_map(|row| Some((row, cost(row)?))).collect();
    let smallest = kinds.iter().map(|(_, cost)| *cost).min_by_key(|cost| cost.memory).unwrap_or_default();
    let (memory, processors) = (Resource::Memory, Resource::Processors);
    let left = format!(
        "{} of memory and {} processors are left for clusters",
        memory.figure(room.memory()),
        processors.figure(room.processors())
    );
    let mut checks = vec![match room.admit(smallest) {
        Ok(()) => good(left),
        Err(error) => bad(&error.to_string(), "`homelab instance list` shows what takes it"),
    }];
    for rows in kinds.chunk_by(|(a, _), (b, _)| a.cni == b.cni) {
        let counts = rows.iter().map(|(row, cost)| format!("{} {}", room.fits(*cost), row.topology));
        let what = format!("with {}, room for {}", rows[0].0.cni, counts.collect::<Vec<_>>().join(" or "));
        let grade = if rows.iter().any(|(_, cost)| room.fits(*cost) > 0) { Grade::Good } else { Grade::Note };
        checks.push(Check { grade, what, remedy: None });
    }
    let lack = room.lack(smallest);
    checks.extend(lack.map(|lack| Check { grade: Grade::Bad, what: lack.what, remedy: Some(lack.remedy) }));
    checks
}

/// What a cluster of this kind takes with the default number of workers; `None` if its spec is not valid.
fn cost(row: &Combination) -> Option<Demand> {
    let asked = ClusterSpec { cni: row.cni, ..ClusterSpec::new("any").topology(row.topology) };
    asked.check().ok().map(|spec| Demand::of_spec(&spec))
}

fn kernel(config: Option<&str>) -> Vec<Check> {
    let Some(config) = config else {
        return vec![note(
            "kernel features cannot be checked",
            "neither /proc/config.gz nor /boot/config-* can be read",
        )];
    };
    let on = |key: &str| config.lines().any(|line| line == format!("{key}=y") || line == format!("{key}=m"));
    let missing = FEATURES.iter().filter(|(key, _)| !on(key));
    let checks: Vec<Check> = missing
        .map(|(key, name)| bad(&format!("the kernel has no {name}"), &format!("boot a kernel with {key}")))
        .collect();
    let names: Vec<&str> = FEATURES.iter().map(|(_, name)| *name).collect();
    if checks.is_empty() { vec![good(format!("kernel: {}", names.join(", ")))] } else { checks }
}

#[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
fn gib(mib: u64) -> f64 {
    mib as f64 / 1024.0
}

fn good(what: String) -> Check {
    Check { grade: Grade::Good, what, remedy: None }
}

fn note(what: &str, remedy: &str) -> Check {
    Check { grade: Grade::Note, what: what.to_owned(), remedy: Some(remedy.to_owned()) }
}

fn bad(what: &str, remedy: &str) -> Check {
    Check { grade: Grade::Bad, what: what.to_owned(), remedy: Some(remedy.to_owned()) }
}

#[cfg(test)]
pub(super) mod tests {
    use provisioner::capacity::HostResources;
    use provisioner::fabric::Deviation;

    use super::*;

    pub(super) fn lack(what: &str, remedy: &str) -> MissingRequirement {
        MissingRequirement { what: what.to_owned(), remedy: remedy.to_owned() }
    }

    /// The capacity of a host with two processors and 24 GiB of memory, of which `available` MiB are free.
    fn room(available: u64) -> Room {
        let host = HostResources {
            memory: 24_576,
            available,
            processors: 2,
            inotify_limit: if available > 1024 { 8192 } else { 128 },
            inotify_used: 120,
        };
        Room { host, running: Demand::default(), starting: Demand::default() }
    }

    fn told(facts: &Facts) -> String {
        let lines = checks(facts).into_iter().map(|check| {
            let remedy = check.remedy.map(|remedy| format!(" → {remedy}")).unwrap_or_default();
            format!("{:?} {}{remedy}", check.grade, check.what)
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn a_ready_host_passes_every_check() {
        let config = FEATURES.iter().map(|(key, _)| format!("{key}=y\n")).collect();
        let facts = Facts {
            image: Some("/root/.cache/homelab/image".to_owned()),
            kernel_config: Some(config),
            cgroup: Some("unified".to_owned()),
            room: Some(Ok(room(22_528))),
            disks: vec![("/root/.homelab".to_owned(), 71_680)],
            ..Facts::default()
        };
        insta::assert_snapshot!(told(&facts));
    }

    #[test]
    fn a_changed_guard_is_bad_and_a_changed_foreign_setting_is_a_note() {
        let deviations = vec![
            Deviation::Emptied { chain: "input".to_owned() },
            Deviation::SettingOfAll {
                key: "net.ipv4.conf.all.proxy_arp".to_owned(),
                found: "1".to_owned(),
                wanted: "0".to_owned(),
            },
        ];
        let looks = [
            Ok(None),
            Ok(Some(Inspection { deviations, has_rules: true })),
            Ok(Some(Inspection { deviations: Vec::new(), has_rules: true })),
            Ok(Some(Inspection { deviations: Vec::new(), has_rules: false })),
            Err(FabricError::Answer { answer: "nonsense".to_owned() }),
        ];
        let said = looks.iter().flat_map(guard).map(|check| {
            let remedy = check.remedy.map(|remedy| format!(" → {remedy}")).unwrap_or_default();
            format!("{:?} {}{remedy}", check.grade, check.what)
        });
        insta::assert_snapshot!(said.collect::<Vec<_>>().join("\n"));
    }

    #[test]
    fn all_problems_are_reported_at_once() {
        let facts = Facts {
            to_run: vec![lack("podman", "apt-get install podman"), lack("runc", "apt-get install runc")],
            to_build: vec![lack("go", "apt-get install golang")],
            kernel_config: Some("CONFIG_NET_NS=y\nCONFIG_BRIDGE=m\nCONFIG_OVERLAY_FS=y\n".to_owned()),
            room: Some(Ok(room(300))),
            disks: vec![("/root/.homelab".to_owned(), 2048)],
            is_emulated: true,
            ..Facts::default()
        };
        insta::assert_snapshot!(told(&facts));
    }
}
