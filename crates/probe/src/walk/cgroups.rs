//! The limits and the devices of nodes' cgroups (cgroups(7)), in hierarchies of both versions.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use probe::structure::{Cgroup, Process};

use crate::mountinfo::{self, Line, unescaped};

/// A mounted hierarchy: its controllers, and its mount point. The unified one has no controllers here.
type Hierarchy = (Vec<String>, PathBuf);

/// The cgroups of processes whose path has a part with one of these texts, up to that part.
pub(super) fn all(processes: &[Process], texts: &BTreeSet<String>, unread: &mut Vec<String>) -> Vec<Cgroup> {
    if texts.is_empty() {
        return Vec::new();
    }
    let hierarchies = match fs::read_to_string("/proc/thread-self/mountinfo") {
        Ok(text) => hierarchies(&text),
        Err(error) => {
            unread.push(format!("find the hierarchies of cgroups: {error}"));
            return Vec::new();
        }
    };
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (controllers, path) in processes.iter().flat_map(|it| &it.cgroups).filter_map(|it| it.split_once(':'))
    {
        if let Some(path) = upto(path, texts) {
            found.entry(path).or_default().insert(controllers.to_owned());
        }
    }
    let mut all = Vec::new();
    for (path, names) in found {
        let mut cgroup = Cgroup { path: path.clone(), ..Cgroup::default() };
        for name in names {
            let wanted: Vec<&str> = name.split(',').filter(|it| !it.is_empty()).collect();
            let mounted = hierarchies.iter().find(|(controllers, _)| {
                controllers.len() == wanted.len()
                    && wanted.iter().all(|it| controllers.iter().any(|own| own == it))
            });
            let Some((controllers, point)) = mounted else {
                unread.push(format!("read cgroup {path}: hierarchy {name:?} is not mounted"));
                continue;
            };
            let folder = point.join(path.trim_start_matches('/'));
            if let Err(error) = read(&folder, controllers, &mut cgroup) {
                unread.push(format!("read cgroup {}: {error}", folder.display()));
            }
            cgroup.controllers.extend(controllers.iter().cloned());
        }
        all.push(cgroup);
    }
    all
}

/// The path up to the first part that has one of these texts.
fn upto(path: &str, texts: &BTreeSet<String>) -> Option<String> {
    let parts: Vec<&str> = path.split('/').collect();
    let place = parts.iter().position(|part| texts.iter().any(|text| part.contains(text.as_str())))?;
    Some(parts[..=place].join("/"))
}

fn hierarchies(text: &str) -> Vec<Hierarchy> {
    const OPTIONS: [&str; 8] = [
        "rw",
        "ro",
        "nsdelegate",
        "memory_recursiveprot",
        "favordynmods",
        "xattr",
        "noprefix",
        "clone_children",
    ];
    let read = |line: Line<'_>| {
        let point = PathBuf::from(unescaped(line.point));
        match line.kind {
            "cgroup2" => Some((Vec::new(), point)),
            "cgroup" => {
                let options = line.super_options.split(',');
                let controllers = options
                    .filter(|option| !OPTIONS.contains(option) && !option.starts_with("release_agent"));
                Some((controllers.map(str::to_owned).collect(), point))
            }
            _ => None,
        }
    };
    mountinfo::lines(text).filter_map(read).collect()
}

fn read(folder: &std::path::Path, controllers: &[String], cgroup: &mut Cgroup) -> io::Result<()> {
    /// What the files say where there is no limit. Version 1 counts memory in pages and has the largest number of them.
    const NONE: [&str; 5] = ["max", "max 100000", "-1", "9223372036854771712", "9223372036854775807"];
    let text = |file: &str| match fs::read_to_string(folder.join(file)) {
        Ok(text) => Ok(Some(text.trim().to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    };
    let own = fs::metadata(folder)?;
    if controllers.is_empty() {
        cgroup.inode = Some(own.ino());
    }
    let files = ["memory.max", "cpu.max", "pids.max", "memory.limit_in_bytes", "cpu.cfs_quota_us"];
    for file in files {
        if let Some(limit) = text(file)?.filter(|limit| !NONE.contains(&limit.as_str())) {
            cgroup.limits.insert(file.to_owned(), limit);
        }
    }
    if let Some(devices) = text("devices.list")? {
        cgroup.devices = Some(devices.lines().map(str::to_owned).collect());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_s_cgroup_is_the_first_part_with_its_id() {
        let ids = BTreeSet::from(["0a1b2c".to_owned()]);
        let pod = "/libpod_parent/libpod-0a1b2c/kubepods/burstable/pod1/0a1b2c";
        assert_eq!(upto(pod, &ids), Some("/libpod_parent/libpod-0a1b2c".to_owned()));
        let scope = "/machine.slice/libpod-0a1b2c.scope/container";
        assert_eq!(upto(scope, &ids), Some("/machine.slice/libpod-0a1b2c.scope".to_owned()));
        assert_eq!(upto("/user.slice", &ids), None);
    }

    #[test]
    fn hierarchies_of_both_versions_are_found_by_their_controllers() {
        let text = "30 29 0:26 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct\n\
            31 29 0:27 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n\
            32 29 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate\n\
            33 29 0:29 / /tmp rw - tmpfs tmpfs rw";
        let all = hierarchies(text);
        let said: Vec<(String, String)> = all
            .iter()
            .map(|(controllers, point)| (controllers.join(","), point.display().to_string()))
            .collect();
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(
            said,
            [
                pair("cpu,cpuacct", "/sys/fs/cgroup/cpu,cpuacct"),
                pair("name=systemd", "/sys/fs/cgroup/systemd"),
                pair("", "/sys/fs/cgroup/unified")
            ]
        );
    }
}
