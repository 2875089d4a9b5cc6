//! The cluster can be reached: a kubeconfig of its own, and a context in the user's.
//!
//! Each instance has an *isolated* kubeconfig that knows this cluster and no other. The *merged* one is the
//! user's own file and mostly other people's contents: only entries that carry our mark (an extension
//! `homelab` with the instance and its scope) are ever replaced or removed, a file that cannot be parsed is never
//! written, and neither is one in which nothing changes. See `document` for how foreign text is kept.

mod document;
mod error;
mod lines;
mod lock;

use std::io;

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::{Value, json};

use crate::home::Home;
use crate::plan::{API_PORT, ClusterPlan, InstanceId};
use crate::registry::replace;

use document::{Document, Kind};
use lock::Lock;

pub use error::KubeconfigError;

/// The name of the extension that marks what is ours.
const MARK: &str = "homelab";

/// The kubeconfig that knows this cluster and no other, from the one that kubeadm made on the first node.
///
/// # Errors
/// When kubeadm's is not as expected: one cluster, one user.
pub fn isolated(admin_conf: &str, plan: &ClusterPlan) -> Result<String, KubeconfigError> {
    let name = &plan.kubeconfig_context;
    let admin = Document::parse("the cluster's admin.conf", admin_conf)?;
    let mark = json!([mark(&plan.id)]);
    let mut cluster = admin.only(Kind::Cluster)?;
    cluster.insert("server".to_owned(), format!("https://{}:{API_PORT}", plan.api_address).into());
    cluster.insert("extensions".to_owned(), mark.clone());
    let mut user = admin.only(Kind::User)?;
    user.insert("extensions".to_owned(), mark.clone());
    let context = json!({ "cluster": name, "user": name, "extensions": mark });
    let mut document = Document::empty("the isolated kubeconfig");
    document.put(Kind::Cluster, json!({ "cluster": cluster, "name": name }))?;
    document.put(Kind::Context, json!({ "context": context, "name": name }))?;
    document.put(Kind::User, json!({ "name": name, "user": user }))?;
    document.set_current(name)?;
    Ok(document.into_text())
}

/// Writes an instance's isolated kubeconfig where [`Home::isolated_kubeconfig`] says; returns that path.
///
/// # Errors
/// When it cannot be written.
pub fn write_isolated(home: &Home, name: &str, text: &str) -> Result<Utf8PathBuf, KubeconfigError> {
    let (folder, path) = (home.instance(name), home.isolated_kubeconfig(name));
    home.create_dir(&folder).map_err(failed("make folder", &folder))?;
    replace(home, &path, text.as_bytes()).map_err(failed("write", &path))?;
    Ok(path)
}

/// Puts the one cluster of an isolated kubeconfig into the user's. The current context stays as it is.
///
/// # Errors
/// [`KubeconfigError::Foreign`] when somebody else has an entry of that name; or the file cannot be read,
/// understood or written. It is left as it is then.
pub fn merge(home: &Home, isolated: &str) -> Result<(), KubeconfigError> {
    let isolated = Document::parse("the isolated kubeconfig", isolated)?;
    edit(home, |merged, path| {
        for kind in Kind::ALL {
            for entry in isolated.entries(kind)? {
                let name = document::name(entry).unwrap_or_default();
                refuse_foreign(merged, kind, name, &home.id(), path)?;
            }
        }
        for kind in Kind::ALL {
            for entry in isolated.entries(kind)? {
                merged.put(kind, entry.clone())?;
            }
        }
        Ok(())
    })
}

/// Takes an instance's entries out of the user's kubeconfig, and out of its current context. Returns whether
/// there were any.
///
/// # Errors
/// When the file cannot be read, understood or written.
pub fn unmerge(home: &Home, name: &str) -> Result<bool, KubeconfigError> {
    if !home.merged_kubeconfig().exists() {
        return Ok(false); // and make no folder for it
    }
    edit(home, |merged, _| {
        let mut found = false;
        for kind in Kind::ALL {
            let ours = |entry: &Value| is_ours(kind, entry, name, &home.id());
            let Some(place) = merged.entries(kind)?.iter().position(ours) else {
                continue;
            };
            merged.remove(kind, place)?;
            found = true;
            if kind == Kind::Context && merged.current() == Some(name) {
                merged.set_current("")?;
            }
        }
        Ok(found)
    })
}

/// Makes an instance's context the current one, records it as the active instance, and returns the names of
/// all contexts in the user's kubeconfig.
///
/// # Errors
/// When there is no context of that name, or it is somebody else's; or a file cannot be written.
pub fn use_context(home: &Home, name: &str) -> Result<Vec<String>, KubeconfigError> {
    let missing =
        || KubeconfigError::NoContext { path: home.merged_kubeconfig().to_owned(), name: name.to_owned() };
    if !home.merged_kubeconfig().exists() {
        return Err(missing());
    }
    let names = edit(home, |merged, path| {
        refuse_foreign(merged, Kind::Context, name, &home.id(), path)?;
        merged.find(Kind::Context, name)?.ok_or_else(missing)?;
        merged.set_current(name)?;
        Ok(merged.entries(Kind::Context)?.iter().filter_map(document::name).map(str::to_owned).collect())
    })?;
    let active = home.active_context();
    home.create_dir(home.root()).map_err(failed("make folder", home.root()))?;
    replace(home, &active, name.as_bytes()).map_err(failed("write", &active))?;
    Ok(names)
}

/// Forgets which instance is active, if it is this one.
///
/// # Errors
/// When the file that says so can be neither read nor removed.
pub fn clear_active(home: &Home, name: &str) -> Result<(), KubeconfigError> {
    let path = home.active_context();
    let gone = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
    match std::fs::read_to_string(&path) {
        Ok(active) if active.trim() == name => match std::fs::remove_file(&path) {
            Err(error) if !gone(&error) => Err(failed("remove", &path)(error)),
            _ => Ok(()),
        },
        Ok(_) => Ok(()),
        Err(error) if gone(&error) => Ok(()),
        Err(error) => Err(failed("read", &path)(error)),
    }
}

/// Changes the merged kubeconfig under kubectl's own lock; nothing is written when nothing changes.
fn edit<T>(
    home: &Home,
    change: impl FnOnce(&mut Document, &Utf8Path) -> Result<T, KubeconfigError>,
) -> Result<T, KubeconfigError> {
    let link = home.merged_kubeconfig();
    let path = target(link).map_err(failed("read", link))?;
    for folder in [&*path, link].into_iter().filter_map(Utf8Path::parent) {
        home.create_dir(folder).map_err(failed("make folder", folder))?;
    }
    let _held = Lock::of(link)?;
    let before = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(failed("read", &path)(error)),
    };
    let mut document = Document::parse(path.as_str(), &before)?;
    let result = change(&mut document, &path)?;
    let after = document.into_text();
    if after != before {
        replace(home, &path, after.as_bytes()).map_err(failed("write", &path))?;
    }
    Ok(result)
}

/// Where a path really leads: people keep their kubeconfig as a link into their dotfiles.
fn target(path: &Utf8Path) -> io::Result<Utf8PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..40 {
        match path.read_link_utf8() {
            Ok(next) => path = path.parent().unwrap_or(Utf8Path::new("")).join(next),
            // EINVAL: it is no link (readlink(2)).
            Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::NotFound) => {
                return Ok(path);
            }
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::from(rustix::io::Errno::LOOP))
}

fn refuse_foreign(
    merged: &Document,
    kind: Kind,
    name: &str,
    home: &str,
    path: &Utf8Path,
) -> Result<(), KubeconfigError> {
    match merged.find(kind, name)? {
        Some(entry) if !is_ours(kind, entry, name, home) => Err(KubeconfigError::Foreign {
            path: path.to_owned(),
            kind: kind.one(),
            name: name.to_owned(),
            server: merged.server(kind, entry),
        }),
        _ => Ok(()),
    }
}

/// What tells our entries from all others, also from those of another home's instance of that name.
fn mark(id: &InstanceId) -> Value {
    json!({ "name": MARK, "extension": { "instance": id.name, "scope": id.scope() } })
}

/// Whether an entry carries the mark of this instance of this home.
fn is_ours(kind: Kind, entry: &Value, name: &str, home: &str) -> bool {
    let mark = mark(&InstanceId { home: home.to_owned(), name: name.to_owned() });
    let marks = entry.get(kind.one()).and_then(|body| body.get("extensions")).and_then(Value::as_array);
    document::name(entry) == Some(name) && marks.is_some_and(|marks| marks.contains(&mark))
}

fn failed(attempt: &'static str, path: &Utf8Path) -> impl FnOnce(io::Error) -> KubeconfigError {
    let path = path.to_owned();
    move |source| KubeconfigError::File { attempt, path, source }
}
