//! The mounts of all mount namespaces (proc_pid_mountinfo(5)).

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use nix::sched::{CloneFlags, unshare};
use probe::structure::{Mount, MountTable, NamespaceKind};
use rustix::fs::{Mode, OFlags, openat};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::processes::Ways;
use crate::mountinfo::{self, Line, unescaped};

/// The mounts of all mount namespaces. A namespace is read by a process in it; one without a process is entered.
/// Namespaces that only a bind mount keeps are found in the mounts of another one, and added to the ways.
pub(super) fn all(ways: &mut Ways, unread: &mut Vec<String>) -> Vec<MountTable> {
    let mut tables: Vec<MountTable> = Vec::new();
    loop {
        let known: Vec<u64> = tables.iter().map(|table| table.inode).collect();
        let new = ways.of(NamespaceKind::Mnt).filter(|(inode, _)| !known.contains(inode));
        let new: Vec<(u64, io::Result<String>)> =
            new.map(|(inode, paths)| (inode, mountinfo(paths))).collect();
        if new.is_empty() {
            return tables;
        }
        for (inode, text) in new {
            let text = text.unwrap_or_else(|error| {
                unread.push(format!("read mounts of namespace {inode}: {error}"));
                String::new()
            });
            tables.push(MountTable { inode, mounts: read(&text) });
        }
        let roots = roots(ways);
        for (kind, inode, table, point) in pins(&tables) {
            if let Some(root) = roots.get(&table) {
                ways.add((kind, inode), || root.join(point.trim_start_matches('/')));
            }
        }
    }
}

/// The table of the first way that leads there.
fn mountinfo(ways: &[PathBuf]) -> io::Result<String> {
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for way in ways {
        let text = match process(way) {
            Some(process) => fs::read_to_string(process.join("mountinfo")),
            None => entered(way.clone()),
        };
        match text {
            Ok(text) => return Ok(text),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// The folder of the process or thread in `/proc/7/ns/mnt` and `/proc/7/task/8/ns/mnt`.
fn process(way: &Path) -> Option<&Path> {
    way.parent().filter(|parent| parent.ends_with("ns") && parent.starts_with("/proc"))?.parent()
}

/// The mounts of a namespace without a process, read by a thread that enters it. The namespace may lack `/proc`, so the
/// thread takes the host's along.
fn entered(way: PathBuf) -> io::Result<String> {
    let read = move || {
        let namespace = File::open(way)?;
        let proc = File::open("/proc/thread-self")?;
        // A thread that shares its root with others cannot change its mounts (setns(2)).
        unshare(CloneFlags::CLONE_FS)?;
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Mount))?;
        let file = openat(&proc, "mountinfo", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        let mut text = String::new();
        File::from(file).read_to_string(&mut text)?;
        Ok(text)
    };
    let thread = std::thread::Builder::new().name("mounts".to_owned()).spawn(read)?;
    thread.join().unwrap_or_else(|_| Err(io::Error::other("the thread has panicked")))
}

pub(super) fn read(text: &str) -> Vec<Mount> {
    mountinfo::lines(text).map(mount).collect()
}

fn mount(line: Line<'_>) -> Mount {
    let layers = if line.kind == "overlay" { layers(line.super_options) } else { Layers::default() };
    Mount {
        id: line.id,
        device: line.device.to_owned(),
        root: unescaped(line.root),
        point: unescaped(line.point),
        kind: line.kind.to_owned(),
        source: unescaped(line.source),
        writable: !line.is_read_only(),
        shared: line.shared,
        lower: layers.lower,
        upper: layers.upper,
        work: layers.work,
    }
}

#[derive(Default)]
struct Layers {
    lower: Vec<String>,
    upper: Option<String>,
    work: Option<String>,
}

/// The layers in an overlay's options: `lowerdir=a:b,upperdir=c`, since Linux 6.8 also `lowerdir+=a`. In names, commas
/// and colons are escaped.
fn layers(options: &str) -> Layers {
    let mut layers = Layers::default();
    for (name, value) in split(options, ',').iter().filter_map(|option| option.split_once('=')) {
        match name {
            "lowerdir" => {
                layers.lower.extend(split(value, ':').iter().filter(|it| !it.is_empty()).map(|it| plain(it)))
            }
            "lowerdir+" | "datadir+" => layers.lower.push(plain(value)),
            "upperdir" => layers.upper = Some(plain(value)),
            "workdir" => layers.work = Some(plain(value)),
            _ => {}
        }
    }
    layers
}

/// Splits at a separator that has no backslash before it.
fn split(text: &str, separator: char) -> Vec<String> {
    let (mut parts, mut escaped) = (vec![String::new()], false);
    for letter in text.chars() {
        if letter == separator && !escaped {
            parts.push(String::new());
        } else if let Some(part) = parts.last_mut() {
            part.push(letter);
        }
        escaped = letter == '\\' && !escaped;
    }
    parts
}

fn plain(text: &str) -> String {
    unescaped(text).replace("\\:", ":").replace("\\,", ",")
}

/// The bind mounts of namespaces (nsfs) in these tables: the kind, the inode, the table's inode and the mount point.
pub(super) fn pins(tables: &[MountTable]) -> Vec<(NamespaceKind, u64, u64, String)> {
    let of = |table: &MountTable| {
        let own = table.inode;
        let pins = table.mounts.iter().filter(|mount| mount.kind == "nsfs").map(move |mount| {
            let (kind, inode) = NamespaceKind::parse(&mount.root)?;
            Some((kind, inode, own, mount.point.clone()))
        });
        pins.flatten().collect::<Vec<_>>()
    };
    tables.iter().flat_map(of).collect()
}

/// A path to the root of each mount namespace, by a process in it.
pub(super) fn roots(ways: &Ways) -> BTreeMap<u64, PathBuf> {
    let all = ways.of(NamespaceKind::Mnt);
    all.filter_map(|(inode, paths)| Some((inode, paths.iter().find_map(|way| process(way))?.join("root"))))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_has_its_device_root_and_group() {
        let text = r"36 35 98:0 /mnt1 /mnt2\040x rw,noatime shared:5 master:1 - ext3 /dev/root ro,errors=continue
            no mount";
        let mounts = read(text);
        assert_eq!(mounts.len(), 1);
        let mount = &mounts[0];
        assert_eq!(
            (mount.device.as_str(), mount.root.as_str(), mount.point.as_str()),
            ("98:0", "/mnt1", "/mnt2 x")
        );
        assert_eq!((mount.writable, mount.shared, mount.source.as_str()), (false, Some(5), "/dev/root"));
    }

    #[test]
    fn an_overlay_has_its_layers_in_both_forms_of_the_options() {
        let read = |options: &str| {
            let layers = layers(options);
            (layers.lower, layers.upper.unwrap_or_default(), layers.work.unwrap_or_default())
        };
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let older = read(r"rw,lowerdir=/a:/b\:c,upperdir=/u,workdir=/w,index=off");
        assert_eq!(older, (names(&["/a", "/b:c"]), "/u".to_owned(), "/w".to_owned()));
        let newer = read(r"rw,lowerdir+=/a,lowerdir+=/b\,c,datadir+=/d,userxattr");
        assert_eq!(newer, (names(&["/a", "/b,c", "/d"]), String::new(), String::new()));
    }

    #[test]
    fn a_bind_mount_of_a_namespace_is_a_pin() {
        let text = "1 2 0:4 net:[4026532200] /run/homelab/netns/a rw - nsfs nsfs rw\n\
            1 2 0:4 mnt:[77] /x rw - nsfs nsfs rw\n3 2 0:5 / /tmp rw - tmpfs tmpfs rw";
        let pins = pins(&[MountTable { inode: 9, mounts: read(text) }]);
        assert_eq!(
            pins,
            [
                (NamespaceKind::Net, 4_026_532_200, 9, "/run/homelab/netns/a".to_owned()),
                (NamespaceKind::Mnt, 77, 9, "/x".to_owned())
            ]
        );
    }

    #[test]
    fn a_mount_namespace_can_be_read_by_entering_it() {
        let own = fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert_eq!(read(&entered("/proc/self/ns/mnt".into()).unwrap()), read(&own));
    }
}
