//! BPF programs, the links that attach them, and pinned objects.
//!
//! Where a program is attached to a cgroup without a link (`BPF_PROG_ATTACH`), only the kernel's query of that cgroup
//! tells; it is not asked, because the one safe interface to it detaches what it has found.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use aya::programs::links::PinnedLink;
use aya::programs::{ProgramInfo, loaded_links, loaded_programs};
use probe::structure::{Bpf, BpfLink, MountTable, Pin, Program};

use super::processes::{BpfDescriptors, fields};
use super::told;

/// The type of programs for traffic control (BPF_PROG_TYPE_SCHED_CLS).
pub(super) const CLASSIFIER: u32 = 3;
/// The most objects in all BPF file systems together.
const PINS: usize = 100_000;

/// All loaded programs, without the processes that hold them.
pub(super) fn programs(unread: &mut Vec<String>) -> Vec<Program> {
    let mut programs = Vec::new();
    for program in loaded_programs() {
        match program {
            Ok(program) => programs.push(Program {
                id: program.id(),
                kind: program.program_type() as u32,
                name: program.name_as_str().unwrap_or_default().to_owned(),
                pids: Vec::new(),
            }),
            Err(error) => {
                let told = told(&error);
                if !is_none(&told) {
                    unread.push(format!("list BPF programs: {told}"));
                    break;
                }
            }
        }
    }
    programs
}

/// Whether an error says that there is no object: it was removed meanwhile (ENOENT), or the kernel was built without BPF
/// (ENOSYS).
fn is_none(told: &str) -> bool {
    told.contains("os error 2)") || told.contains("os error 38)")
}

/// Adds holders, links and pins to the programs.
pub(super) fn all(
    mut programs: Vec<Program>,
    descriptors: &BpfDescriptors,
    tables: &[MountTable],
    roots: &BTreeMap<u64, PathBuf>,
    unread: &mut Vec<String>,
) -> Bpf {
    let mut links: BTreeMap<u32, BpfLink> = BTreeMap::new();
    for link in loaded_links() {
        match link {
            Ok(link) => {
                let link = BpfLink { id: link.id(), program: link.program_id(), ..BpfLink::default() };
                links.insert(link.id, link);
            }
            Err(error) => {
                let told = told(&error);
                if !is_none(&told) {
                    unread.push(format!("list BPF links: {told}"));
                    break;
                }
            }
        }
    }
    for (fields, pid) in descriptors {
        if let Some(link) = number(fields, "link_id") {
            let link = links.entry(link).or_insert_with(|| BpfLink { id: link, ..BpfLink::default() });
            place(link, fields);
            link.pids.push(*pid);
        } else if let Some(id) = number(fields, "prog_id")
            && let Some(program) = programs.iter_mut().find(|program| program.id == id)
        {
            program.pids.push(*pid);
        }
    }
    let pins = pins(tables, roots, &mut links, unread);
    for link in links.values().filter(|link| link.kind.is_none()) {
        unread.push(format!(
            "find out where BPF link {} attaches program {}: no process holds it",
            link.id, link.program
        ));
    }
    Bpf { programs, links: links.into_values().collect(), pins }
}

fn number(fields: &BTreeMap<String, String>, name: &str) -> Option<u32> {
    fields.get(name)?.split_whitespace().next()?.parse().ok()
}

/// The place of a link, in the words of the kernel's fdinfo.
fn place(link: &mut BpfLink, fields: &BTreeMap<String, String>) {
    let long = |name: &str| fields.get(name).and_then(|value| value.split_whitespace().next()?.parse().ok());
    link.program = number(fields, "prog_id").unwrap_or(link.program);
    link.kind = fields.get("link_type").cloned();
    link.link = number(fields, "ifindex");
    link.cgroup = long("cgroup_id");
    link.namespace = long("netns_ino");
}

/// The objects in all BPF file systems, each system once.
fn pins(
    tables: &[MountTable],
    roots: &BTreeMap<u64, PathBuf>,
    links: &mut BTreeMap<u32, BpfLink>,
    unread: &mut Vec<String>,
) -> Vec<Pin> {
    let mut systems: BTreeMap<String, PathBuf> = BTreeMap::new();
    for table in tables {
        for mount in table.mounts.iter().filter(|mount| mount.kind == "bpf" && mount.root == "/") {
            if let Some(root) = roots.get(&table.inode) {
                let path = root.join(mount.point.trim_start_matches('/'));
                systems.entry(mount.device.clone()).or_insert(path);
            }
        }
    }
    let mut pins = Vec::new();
    for (device, start) in systems {
        let mut folders = vec![start.clone()];
        while let Some(folder) = folders.pop() {
            let entries = match fs::read_dir(&folder) {
                Ok(entries) => entries,
                Err(error) => {
                    unread.push(format!("list the BPF file system {device}: {error}"));
                    continue;
                }
            };
            for entry in entries.flatten() {
                let path = entry.path();
                let Ok(kind) = entry.file_type() else { continue };
                if kind.is_dir() {
                    folders.push(path);
                } else if kind.is_file() && pins.len() < PINS {
                    let below = path.strip_prefix(&start).unwrap_or(&path).display().to_string();
                    pins.push(pin(device.clone(), below, &path, links));
                } else if kind.is_file() {
                    unread.push(format!("list the BPF file system {device}: more than {PINS} objects"));
                    return pins;
                }
            }
        }
    }
    pins
}

/// A pinned object. If it is neither a link nor a program, it is a map.
fn pin(device: String, path: String, at: &Path, links: &mut BTreeMap<u32, BpfLink>) -> Pin {
    let mut pin = Pin { device, path, link: None, program: None };
    if let Ok(held) = PinnedLink::from_pin(at) {
        // The descriptor is private to the value, but no other descriptor of this process is a BPF link.
        let own = fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
        let own = own.filter(|fd| {
            fs::read_link(fd.path())
                .is_ok_and(|target| target.as_os_str().as_encoded_bytes().starts_with(b"anon_inode:bpf"))
        });
        for descriptor in own {
            let info = Path::new("/proc/self/fdinfo").join(descriptor.file_name());
            let fields = fields(&fs::read_to_string(info).unwrap_or_default());
            if let Some(id) = number(&fields, "link_id") {
                pin.link = Some(id);
                place(links.entry(id).or_insert_with(|| BpfLink { id, ..BpfLink::default() }), &fields);
            }
        }
        drop(held);
    } else if let Ok(program) = ProgramInfo::from_pin(at) {
        pin.program = Some(program.id());
    }
    pin
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_s_place_is_read_from_the_kernels_words() {
        let text = "pos:\t0\nlink_type:\ttcx\nlink_id:\t7\nprog_tag:\tabc\nprog_id:\t41\nifindex:\t12\nattach_type:\t46 (tcx_ingress)\n";
        let mut link = BpfLink::default();
        place(&mut link, &fields(text));
        assert_eq!((link.kind.as_deref(), link.program, link.link), (Some("tcx"), 41, Some(12)));
        place(
            &mut link,
            &fields("link_type:\tcgroup\nlink_id:\t8\nprog_id:\t5\ncgroup_id:\t6001\nattach_type:\t10\n"),
        );
        assert_eq!((link.program, link.link, link.cgroup), (5, None, Some(6001)));
    }
}
