//! Mounts, files with several names, devices and cgroups.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The mounts of a mount namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MountTable {
    /// Its inode.
    pub inode: u64,
    /// Its mounts, in the kernel's order.
    pub mounts: Vec<Mount>,
}

/// A mount (proc_pid_mountinfo(5)).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Mount {
    /// Its number, which no other mount of the machine has at the same time.
    #[serde(default)]
    pub id: u64,
    /// The device of the file system: `8:1`.
    pub device: String,
    /// The folder of the file system that is mounted.
    pub root: String,
    /// The mount point.
    pub point: String,
    /// The kind of the file system.
    pub kind: String,
    /// The device, the remote folder, or any text.
    pub source: String,
    /// Whether it can be written.
    pub writable: bool,
    /// The peer group in which mounts propagate; `None` for a private mount.
    pub shared: Option<u64>,
    /// The lower layers of an overlay.
    pub lower: Vec<String>,
    /// The upper layer of an overlay.
    pub upper: Option<String>,
    /// The work folder of an overlay.
    pub work: Option<String>,
}

/// A file with several names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LinkedFile {
    /// The device of the file system: `8:1`.
    pub device: String,
    /// Its inode.
    pub inode: u64,
    /// How many names it has.
    pub names: u64,
    /// The names that were found: the root's name in the request, and the path below the root.
    pub found: Vec<(String, String)>,
}

/// The place of a device node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// In a mount namespace, with this inode.
    Mounts(u64),
    /// In a root, with this name in the request.
    Root(String),
}

/// A device node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeviceNode {
    /// Where it is.
    pub place: Place,
    /// Its path there.
    pub path: String,
    /// Whether it is a block device.
    pub block: bool,
    /// Its major number.
    pub major: u32,
    /// Its minor number.
    pub minor: u32,
}

/// A block device that is made of a file or of other block devices.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Backed {
    /// Its number: `7:0`.
    pub device: String,
    /// Its name: `loop0`.
    pub name: String,
    /// The path of the file, or the names of the devices.
    pub by: Vec<String>,
}

/// A cgroup.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Cgroup {
    /// Its path in its hierarchy.
    pub path: String,
    /// The hierarchies that have it, by their controllers: `pids`; empty for the unified one.
    pub controllers: Vec<String>,
    /// Its inode in the unified hierarchy.
    pub inode: Option<u64>,
    /// The limits that are set: `memory.max`, `cpu.max`, `pids.max`, with their older names where the hierarchy is of
    /// version 1. Unlimited ones are left out.
    pub limits: BTreeMap<String, String>,
    /// The devices that it may use (`devices.list`); `None` in the unified hierarchy, where a program decides.
    pub devices: Option<Vec<String>>,
}
