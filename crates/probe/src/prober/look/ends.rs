//! Locates the other end of each veth pair: in this network namespace, or in the network namespace of a visible
//! process.
//!
//! The two ends of a pair name each other's index (`ifindex` and `iflink`, Documentation/ABI/testing/sysfs-class-net).
//! A sysfs shows the links of the namespace in which it was mounted, and a process's own sysfs is visible below
//! `/proc/<pid>/root` (proc_pid_root(5)). An end that is in no namespace of a visible process is outside of this
//! node.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

/// The index of a link and the index of its other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cable {
    own: u32,
    other: u32,
}

impl Cable {
    fn is_other_end_of(self, cable: Self) -> bool {
        (self.own, self.other) == (cable.other, cable.own)
    }
}

type Links = BTreeMap<String, Cable>;

/// `cilium_host ends at cilium_net`, `veth1 ends in net:[4026532345]`: a line for each link whose other end is visible.
pub(super) fn all() -> io::Result<Vec<String>> {
    let own = namespace(Path::new("/proc/self"))?;
    let mut others: BTreeMap<String, Links> = BTreeMap::new();
    for entry in fs::read_dir("/proc")?.flatten() {
        let process = entry.path();
        // Skips entries that are no processes, and processes that have ended or have no sysfs.
        let Ok(namespace) = namespace(&process) else { continue };
        if namespace != own && others.get(&namespace).is_none_or(Links::is_empty) {
            let links = cables(&process.join("root/sys/class/net")).unwrap_or_default();
            others.insert(namespace, links);
        }
    }
    Ok(lines(&cables(Path::new("/sys/class/net"))?, &others))
}

fn lines(here: &Links, others: &BTreeMap<String, Links>) -> Vec<String> {
    let end = |cable: Cable| {
        let beside = here.iter().find(|(_, other)| **other != cable && other.is_other_end_of(cable));
        let inside = || {
            let has = |links: &Links| links.values().any(|other| other.is_other_end_of(cable));
            others.iter().find(|(_, links)| has(links)).map(|(namespace, _)| format!("in {namespace}"))
        };
        beside.map(|(name, _)| format!("at {name}")).or_else(inside)
    };
    here.iter().filter_map(|(name, cable)| Some(format!("{name} ends {}", end(*cable)?))).collect()
}

/// The network namespace of a process, such as `net:[4026532345]`.
fn namespace(process: &Path) -> io::Result<String> {
    Ok(fs::read_link(process.join("ns/net"))?.to_string_lossy().into_owned())
}

/// The index of loopback in every network namespace.
const LOOPBACK: u32 = 1;

/// The links of a sysfs, without loopback. A link without another end names itself. So does a link of a pair whose two
/// ends have the same index, each in its namespace.
fn cables(class: &Path) -> io::Result<Links> {
    let number = |link: &Path, file: &str| fs::read_to_string(link.join(file)).ok()?.trim().parse().ok();
    let read = |entry: fs::DirEntry| {
        let link = entry.path();
        let cable = Cable { own: number(&link, "ifindex")?, other: number(&link, "iflink")? };
        let name = entry.file_name().into_string().ok()?;
        (cable.own != LOOPBACK && cable.other != 0).then_some((name, cable))
    };
    Ok(fs::read_dir(class)?.flatten().filter_map(read).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links(all: &[(&str, u32, u32)]) -> Links {
        all.iter()
            .map(|(name, own, other)| ((*name).to_owned(), Cable { own: *own, other: *other }))
            .collect()
    }

    #[test]
    fn the_peer_of_a_link_is_found_beside_it_or_in_another_namespace() {
        let here = links(&[
            ("host", 3, 4),
            ("net", 4, 3),
            ("pod", 5, 2),
            ("eth0", 2, 9),
            ("same", 6, 6),
            ("tap", 7, 7),
        ]);
        let others = BTreeMap::from([
            ("net:[1]".to_owned(), links(&[("eth0", 2, 7)])),
            ("net:[2]".to_owned(), links(&[("eth0", 2, 5)])),
            ("net:[3]".to_owned(), links(&[("eth0", 6, 6)])),
        ]);
        let expected =
            ["host ends at net", "net ends at host", "pod ends in net:[2]", "same ends in net:[3]"];
        assert_eq!(lines(&here, &others), expected);
    }

    #[test]
    fn loopback_and_links_without_a_peer_are_no_veth_pairs() {
        let class = tempfile::tempdir().unwrap();
        for (name, own, other) in [("lo", "1", "1"), ("tunl0", "2", "0"), ("veth1", "3", "7")] {
            fs::create_dir(class.path().join(name)).unwrap();
            fs::write(class.path().join(name).join("ifindex"), format!("{own}\n")).unwrap();
            fs::write(class.path().join(name).join("iflink"), format!("{other}\n")).unwrap();
        }
        assert_eq!(cables(class.path()).unwrap(), links(&[("veth1", 3, 7)]));
    }
}
