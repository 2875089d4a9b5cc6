//! The cluster can be reached: a kubeconfig of its own, and a context in the user's.
//!
//! Each instance has an *isolated* kubeconfig that knows this cluster and no other. The *merged* one is the
//! user's own, one file or several, and mostly other people's contents: only entries that carry our mark (an extension
//! `homelab` with the instance and its scope) are ever replaced or removed, a file that cannot be parsed is never
//! written, and neither is one in which nothing changes. See `document` for how foreign text is kept.

mod client;
mod document;
mod error;
mod lines;
mod lock;
mod merged;

use std::io;

use camino::{Utf8Path, Utf8PathBuf};
use k8s_openapi::ByteString;
use serde_json::{Value, json};

use crate::files::{self, failed, replace};
use crate::home::Home;
use crate::plan::{API_PORT, ClusterPlan, InstanceId};

use document::{Document, Kind};
use merged::{Merged, Needed};

pub use client::{Unusable, client, impatient_client};
pub use error::{KubeconfigError, Made, merging};

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
    replace(home, &path, text.as_bytes())?;
    Ok(path)
}

/// Refuses a kubeconfig of the user's, or a marker of the active instance, into which an instance cannot be put; nothing
/// is changed. A lock that is in the way is waited for, but not for ever.
///
/// # Errors
/// As [`merge`] for an instance of this name.
pub fn check(home: &Home, name: &str) -> Result<(), KubeconfigError> {
    files::regular(&home.active_context())?;
    let mut merged = Merged::check(home)?;
    Kind::ALL.into_iter().try_for_each(|kind| merged.refuse_foreign(kind, name, &home.id()))?;
    // Not every text can be edited: this one is edited in memory and forgotten.
    Kind::ALL.into_iter().try_for_each(|kind| merged.put(kind, &json!({ kind.one(): {}, "name": name })))
}

/// Puts the one cluster of an isolated kubeconfig into the user's. The current context stays as it is.
///
/// # Errors
/// [`KubeconfigError::Foreign`] when somebody else has an entry of that name; or a file cannot be read,
/// understood or written. It is left as it is then.
pub fn merge(home: &Home, isolated: &str) -> Result<(), KubeconfigError> {
    let isolated = Document::parse("the isolated kubeconfig", isolated)?;
    Merged::edit(home, Needed::All, |merged| {
        for kind in Kind::ALL {
            for entry in isolated.entries(kind)? {
                merged.refuse_foreign(kind, document::name(entry).unwrap_or_default(), &home.id())?;
            }
        }
        for kind in Kind::ALL {
            for entry in isolated.entries(kind)? {
                merged.put(kind, entry)?;
            }
        }
        Ok(())
    })
}

/// Takes an instance's entries out of the user's kubeconfig, and out of its current context. Returns whether
/// there were any. A file that holds none is not touched, whatever it is.
///
/// # Errors
/// When a file cannot be read, or holds some and cannot be understood or written.
pub fn unmerge(home: &Home, name: &str) -> Result<bool, KubeconfigError> {
    let scope = InstanceId { home: home.id(), name: name.to_owned() }.scope();
    Merged::edit(home, Needed::Holding(&scope), |merged| merged.remove(name, &home.id()))
}

/// Makes an instance's context the current one, records it as the active instance, and returns the names of
/// all contexts in the user's kubeconfig. What is so already is not written again.
///
/// # Errors
/// When there is no context of that name, or it is somebody else's; or a file cannot be written.
pub fn use_context(home: &Home, name: &str) -> Result<Vec<String>, KubeconfigError> {
    let missing =
        || KubeconfigError::NoContext { path: home.merged_kubeconfig().to_owned(), name: name.to_owned() };
    if !home.merged_kubeconfig().exists() {
        return Err(missing());
    }
    let active = home.active_context();
    let before = files::read(&active)?; // a marker that cannot be written must not be found out half-way
    let names = Merged::edit(home, Needed::All, |merged| {
        merged.refuse_foreign(Kind::Context, name, &home.id())?;
        merged.find(Kind::Context, name)?.ok_or_else(missing)?;
        merged.set_current(name)?;
        merged.names(Kind::Context)
    })?;
    if before.as_deref() != Some(name.as_bytes()) {
        home.create_dir(home.root()).map_err(failed("make folder", home.root()))?;
        replace(home, &active, name.as_bytes())?;
    }
    Ok(names)
}

/// Where a context leads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Endpoint {
    /// The API server.
    pub server: String,
    /// SHA-256 of the certificate that vouches for it, where the kubeconfig has one.
    pub authority: Option<String>,
}

/// Where a context of the user's kubeconfig leads; none when there is no such context.
///
/// # Errors
/// When a file cannot be read or understood.
pub fn endpoint(home: &Home, context: &str) -> Result<Option<Endpoint>, KubeconfigError> {
    Merged::read(home, Needed::All)?.endpoint(context)
}

/// The same for one file alone.
///
/// # Errors
/// When the file cannot be read or understood.
pub fn endpoint_in(path: &Utf8Path, context: &str) -> Result<Option<Endpoint>, KubeconfigError> {
    Merged::of_file(path)?.endpoint(context)
}

/// The certificate by which a kubeconfig's only user is known, as PEM; none where it is known by other means.
///
/// # Errors
/// When the file cannot be read or understood, or has several users.
pub fn client_certificate_in(path: &Utf8Path) -> Result<Option<String>, KubeconfigError> {
    let text = std::fs::read_to_string(path).map_err(failed("read", path))?;
    let mut user = Document::parse(path.as_str(), &text)?.only(Kind::User)?;
    let decoded = user.remove("client-certificate-data").map(serde_json::from_value::<ByteString>);
    Ok(decoded.and_then(Result::ok).map(|ByteString(pem)| String::from_utf8_lossy(&pem).into_owned()))
}

/// The current context of one file.
///
/// # Errors
/// When the file cannot be read or understood.
pub fn current_in(path: &Utf8Path) -> Result<Option<String>, KubeconfigError> {
    Ok(Merged::of_file(path)?.current().map(str::to_owned))
}

/// The current context of the user's kubeconfig.
///
/// # Errors
/// When a file cannot be read or understood.
pub fn current(home: &Home) -> Result<Option<String>, KubeconfigError> {
    Ok(Merged::read(home, Needed::All)?.current().map(str::to_owned))
}

/// The active instance, as the marker that shell prompts read has it.
///
/// # Errors
/// When the marker cannot be read.
pub fn active(home: &Home) -> Result<Option<String>, KubeconfigError> {
    let name = files::read_text(&home.active_context())?.unwrap_or_default();
    Ok(Some(name.trim().to_owned()).filter(|name| !name.is_empty()))
}

/// Forgets which instance is active, if it is this one. Says whether it was.
///
/// # Errors
/// When the file that says so can be neither read nor removed.
pub fn clear_active(home: &Home, name: &str) -> Result<bool, KubeconfigError> {
    let active = match active(home) {
        Err(KubeconfigError::File(error)) if error.is_not_regular() => None, // it names no instance
        active => active?,
    };
    if active.as_deref() != Some(name) {
        return Ok(false);
    }
    let path = home.active_context();
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", &path)(error).into()),
        _ => Ok(true),
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
