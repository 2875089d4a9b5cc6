//! What a prober sees around itself: evidence of what two places share.
//!
//! Reading is here; how the kernel's tables are read is in `tables`, which is pure.

mod tables;

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use probe::{Outcome, Sight};

use super::attempt::Attempt;
use crate::links;

/// The most lines: what a node shows is an order of magnitude below.
const LINES: usize = 20_000;

/// Looks, away from the runtime: a dead network file system can hold a look for ever.
pub(super) async fn look(attempt: &Attempt, at: Sight) -> io::Result<Outcome> {
    attempt.sent();
    let mut lines = tokio::task::spawn_blocking(move || see(at)).await.map_err(io::Error::other)??;
    lines.sort();
    lines.dedup();
    lines.truncate(LINES);
    Ok(Outcome::Seen { lines })
}

fn see(at: Sight) -> io::Result<Vec<String>> {
    match at {
        Sight::Mounts => mounts(),
        Sight::Links => seen_links(),
        Sight::Routes => {
            let mut lines = tables::routes(&fs::read_to_string("/proc/net/route")?);
            // Missing where IPv6 is off.
            lines.extend(tables::routes6(&fs::read_to_string("/proc/net/ipv6_route").unwrap_or_default()));
            Ok(lines)
        }
        Sight::Processes => processes(),
        Sight::Sockets => Ok(tables::sockets(&fs::read_to_string("/proc/net/unix")?)),
        Sight::Identity => Ok(identity()),
    }
}

/// `8:1 2 / /mnt ext4 /dev/sda1`: device and inode tell whether two mounts show the same files.
fn mounts() -> io::Result<Vec<String>> {
    let mounts = tables::mounts(&fs::read_to_string("/proc/self/mountinfo")?);
    let line = |mount: tables::Mount| {
        let inode = fs::metadata(&mount.point).map_or_else(|_| "-".to_owned(), |meta| meta.ino().to_string());
        let tables::Mount { device, root, point, kind, source } = mount;
        format!("{device} {inode} {root} {point} {kind} {source}")
    };
    Ok(mounts.into_iter().map(line).collect())
}

fn seen_links() -> io::Result<Vec<String>> {
    let mut lines = Vec::new();
    for link in links::all()? {
        let mac =
            link.mac().map_or_else(|| "-".to_owned(), |mac| mac.map(|byte| format!("{byte:02x}")).join(":"));
        lines.push(format!("{} {mac} {}", link.name, if link.up { "up" } else { "down" }));
        let address = |(address, bits): &(std::net::IpAddr, u32)| format!("{} {address}/{bits}", link.name);
        lines.extend(link.addresses.iter().map(address));
    }
    Ok(lines)
}

/// `1 pause pid:[4026531836]`; a process that ends meanwhile, or whose namespace is not shown to us, has a dash.
fn processes() -> io::Result<Vec<String>> {
    let mut lines = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(pid) = name.to_str().filter(|name| name.bytes().all(|byte| byte.is_ascii_digit())) else {
            continue;
        };
        let comm = fs::read_to_string(entry.path().join("comm")).unwrap_or_else(|_| "-".to_owned());
        let namespace = fs::read_link(entry.path().join("ns/pid"));
        let namespace = namespace.map_or_else(|_| "-".to_owned(), |it| it.to_string_lossy().into_owned());
        lines.push(format!("{pid} {} {namespace}", comm.trim_end()));
    }
    Ok(lines)
}

/// What tells this machine from others; what it has not is left out.
fn identity() -> Vec<String> {
    let mut lines = Vec::new();
    let files = [("machine-id", "/etc/machine-id"), ("boot-id", "/proc/sys/kernel/random/boot_id")];
    for (name, path) in files {
        lines.extend(fs::read_to_string(path).ok().map(|id| format!("{name} {}", id.trim())));
    }
    let keys = fs::read_dir(Path::new("/etc/ssh")).into_iter().flatten().flatten();
    for key in keys.map(|entry| entry.path()) {
        let name = key.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.starts_with("ssh_host_") && name.ends_with("_key.pub") {
            lines.extend(fs::read_to_string(&key).ok().as_deref().and_then(tables::host_key));
        }
    }
    lines
}
