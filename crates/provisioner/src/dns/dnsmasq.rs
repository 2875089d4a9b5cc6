//! One drop-in for each instance in a folder that dnsmasq reads, with a wildcard for all names below the suffix.
//!
//! Format: dnsmasq(8), as in version 2.90. Next in the flow: `file` writes the drop-in.

use std::io::ErrorKind;
use std::net::Ipv4Addr;

use camino::{Utf8Path, Utf8PathBuf};

use crate::files::{self, Foreign, Fresh, failed};
use crate::home::Home;
use crate::plan::InstanceId;

use super::{DnsError, Recorded, Records, file};

const ODD: &str = "the drop-in differs from what homelab writes";

pub(super) fn add(folder: &Utf8Path, records: &Records) -> Result<bool, DnsError> {
    let _held = file::hold(folder)?;
    let own = drop_in(folder, &records.id);
    for path in drop_ins(folder)?.into_iter().filter(|path| *path != own) {
        let text = files::read(&path)?.unwrap_or_default();
        if let Some(line) = claim(&String::from_utf8_lossy(&text), &records.suffix) {
            let holder = owner(&path);
            return Err(DnsError::Claimed { suffix: records.suffix.clone(), holder, path, line });
        }
    }
    Ok(Foreign::read(&own)?.write(text(records).as_bytes(), Fresh::Public)?)
}

/// Checks that drop-ins in the folder can be read and that an instance's can be written. Changes nothing.
pub(super) fn check(folder: &Utf8Path, id: &InstanceId) -> Result<(), DnsError> {
    let _held = file::hold(folder)?;
    for path in drop_ins(folder)? {
        files::read(&path)?;
    }
    file::check(&drop_in(folder, id))
}

pub(super) fn remove(home: &Home, folder: &Utf8Path, instance: &str) -> Result<bool, DnsError> {
    let own = drop_in(folder, &InstanceId { home: home.id(), name: instance.to_owned() });
    // On a read-only file system, unlink(2) fails with EROFS even if the file does not exist.
    if own.symlink_metadata().is_err_and(|error| error.kind() == ErrorKind::NotFound) {
        return Ok(false);
    }
    match std::fs::remove_file(&own) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        outcome => Ok(outcome.map(|()| true).map_err(failed("remove", &own))?),
    }
}

pub(super) fn list(home: &Home, folder: &Utf8Path) -> Result<Vec<Recorded>, DnsError> {
    let mut all = Vec::new();
    for path in drop_ins(folder)? {
        let Some(id) = owner(&path).filter(|id| id.home == home.id()) else { continue };
        let contents = String::from_utf8_lossy(&files::read(&path)?.unwrap_or_default()).into_owned();
        let place = path.into_string();
        all.push(match parse(&id, &contents) {
            Some(records) => Recorded::Sound { records, place },
            None => Recorded::Damaged { instance: id.name, place, why: ODD },
        });
    }
    Ok(all)
}

fn drop_in(folder: &Utf8Path, id: &InstanceId) -> Utf8PathBuf {
    folder.join(format!("{}.conf", id.scope()))
}

/// The instance of a drop-in, by the file name. `None` if homelab has not written it.
fn owner(path: &Utf8Path) -> Option<InstanceId> {
    InstanceId::of_scope(path.file_name()?.strip_suffix(".conf")?)
}

/// All files that dnsmasq reads, sorted: all except hidden files and editors' backups.
fn drop_ins(folder: &Utf8Path) -> Result<Vec<Utf8PathBuf>, DnsError> {
    let read = || -> std::io::Result<Vec<Utf8PathBuf>> {
        let entries = folder.read_dir_utf8()?.collect::<Result<Vec<_>, _>>()?;
        let files = entries.iter().map(|entry| entry.path().to_owned()).filter(|path| path.is_file());
        let is_read = |name: &str| !name.starts_with(['.', '#']) && !name.ends_with('~');
        let mut files: Vec<_> = files.filter(|path| path.file_name().is_some_and(is_read)).collect();
        files.sort();
        Ok(files)
    };
    Ok(read().map_err(failed("read", folder))?)
}

/// The text of a drop-in. Pure.
///
/// `host-record` maps only the API server's name; `address` would map all names below it too. `local` makes dnsmasq not
/// forward queries for names of the suffix.
fn text(records: &Records) -> String {
    let Records { id, suffix, api_address, workload_address } = records;
    let (scope, api) = (id.scope(), records.api_name());
    format!(
        "# {scope}, written by homelab; `homelab dns sync` writes it anew.\n\
         address=/{suffix}/{workload_address}\n\
         host-record={api},{api_address}\n\
         local=/{suffix}/\n"
    )
}

/// Parses a drop-in. `None` unless its text is exactly what [`text`] writes.
fn parse(id: &InstanceId, contents: &str) -> Option<Records> {
    let value = |key: &str| contents.lines().find_map(|line| line.strip_prefix(key));
    let named = |(name, address): (&str, &str)| Some((name.to_owned(), address.parse::<Ipv4Addr>().ok()?));
    let workload = named(value("address=/")?.split_once('/')?)?;
    let api = named(value("host-record=")?.split_once(',')?)?;
    Records::found(id, &[api, workload]).filter(|records| text(records) == contents)
}

/// The first line, from 1, with a setting for the suffix or a name below it. Pure.
fn claim(contents: &str, suffix: &str) -> Option<usize> {
    let is_ours = |name: &str| {
        let name = name.trim().trim_end_matches('.').to_ascii_lowercase();
        name.strip_suffix(suffix).is_some_and(|front| front.is_empty() || front.ends_with('.'))
    };
    let says = |line: &str| {
        let Some((key, value)) = line.trim().split_once('=') else { return false };
        match key.trim() {
            "address" | "server" | "local" => {
                // `/one/two/target`
                value.trim().strip_prefix('/').is_some_and(|domains| domains.split('/').any(is_ours))
            }
            "host-record" | "cname" => value.split(',').any(is_ours),
            _ => false,
        }
    };
    contents.lines().position(says).map(|line| line + 1)
}
