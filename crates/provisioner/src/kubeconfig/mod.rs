//! Kubeconfigs: one for each cluster alone, and a context in the user's.
//!
//! Each instance has an *isolated* kubeconfig with its own cluster only. The *merged* kubeconfig is the user's own,
//! one file or several, mostly with entries that are not ours. This module replaces and removes only entries with our
//! mark (an extension `homelab` with the instance and its scope). It never writes a file that cannot be parsed, or
//! one in which nothing changes. See `document` for how the rest of the text is kept.

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

/// The name of the extension that marks our entries.
const MARK: &str = "homelab";

/// Makes the isolated kubeconfig from the one that kubeadm made on the first node.
///
/// # Errors
/// When `admin_conf` is not a valid kubeconfig with exactly one cluster and one user.
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

/// Writes an instance's isolated kubeconfig to [`Home::isolated_kubeconfig`], and returns that path.
///
/// # Errors
/// When it cannot be written.
pub fn write_isolated(home: &Home, name: &str, text: &str) -> Result<Utf8PathBuf, KubeconfigError> {
    let (folder, path) = (home.instance(name), home.isolated_kubeconfig(name));
    home.create_dir(&folder).map_err(failed("make folder", &folder))?;
    replace(home, &path, text.as_bytes())?;
    Ok(path)
}

/// Checks that [`merge`] and [`use_context`] would succeed for an instance of this name. Changes nothing. Waits for
/// kubectl's lock, for a limited time.
///
/// # Errors
/// As [`merge`], and when the marker of the active instance is not a regular file.
pub fn check(home: &Home, name: &str) -> Result<(), KubeconfigError> {
    files::regular(&home.active_context())?;
    let mut merged = Merged::check(home)?;
    Kind::ALL.into_iter().try_for_each(|kind| merged.refuse_foreign(kind, name, &home.id()))?;
    // Not every text can be edited, so try the edit in memory and discard it.
    Kind::ALL.into_iter().try_for_each(|kind| merged.put(kind, &json!({ kind.one(): {}, "name": name })))
}

/// Adds the entries of an isolated kubeconfig to the user's kubeconfig. The current context stays as it is.
///
/// # Errors
/// [`KubeconfigError::Foreign`] when an entry of that name exists that is not ours; any other error when a file cannot
/// be read, parsed or written. No file is changed then.
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

/// Removes an instance's entries from the user's kubeconfig, and clears the current context if it is the instance's.
/// Returns whether there were such entries. A file without them is not changed, even if it is not a valid kubeconfig.
///
/// # Errors
/// When a file cannot be read, or has such entries and cannot be parsed or written.
pub fn unmerge(home: &Home, name: &str) -> Result<bool, KubeconfigError> {
    let scope = InstanceId { home: home.id(), name: name.to_owned() }.scope();
    Merged::edit(home, Needed::Holding(&scope), |merged| merged.remove(name, &home.id()))
}

/// Makes an instance's context the current one, records the instance as the active one, and returns the names of all
/// contexts in the user's kubeconfig. Writes only the files that change.
///
/// # Errors
/// [`KubeconfigError::NoContext`] when the user's kubeconfig has no context of that name, [`KubeconfigError::Foreign`]
/// when that context is not ours; any other error when a file cannot be written.
pub fn use_context(home: &Home, name: &str) -> Result<Vec<String>, KubeconfigError> {
    let missing =
        || KubeconfigError::NoContext { path: home.merged_kubeconfig().to_owned(), name: name.to_owned() };
    if !home.merged_kubeconfig().exists() {
        return Err(missing());
    }
    let active = home.active_context();
    let before = files::read(&active)?; // first, so that an unusable marker is an error before anything is changed
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

/// The API server of a context.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Endpoint {
    /// The URL of the API server. Empty if the context's cluster has none.
    pub server: String,
    /// SHA-256 of the authority's certificate (`AB:CD:…`). `None` if the kubeconfig has no valid
    /// `certificate-authority-data`.
    pub authority: Option<String>,
}

/// The API server of a context in the user's kubeconfig. `None` when it has no such context.
///
/// # Errors
/// When a file cannot be read or parsed.
pub fn endpoint(home: &Home, context: &str) -> Result<Option<Endpoint>, KubeconfigError> {
    Merged::read(home, Needed::All)?.endpoint(context)
}

/// The API server of a context in one file. `None` when the file has no such context.
///
/// # Errors
/// When the file cannot be read or parsed.
pub fn endpoint_in(path: &Utf8Path, context: &str) -> Result<Option<Endpoint>, KubeconfigError> {
    Merged::of_file(path)?.endpoint(context)
}

/// The client certificate of a kubeconfig's only user, as PEM. `None` if the user has no `client-certificate-data`.
///
/// # Errors
/// When the file cannot be read or parsed, or does not have exactly one user.
pub fn client_certificate_in(path: &Utf8Path) -> Result<Option<String>, KubeconfigError> {
    let text = std::fs::read_to_string(path).map_err(failed("read", path))?;
    let mut user = Document::parse(path.as_str(), &text)?.only(Kind::User)?;
    let decoded = user.remove("client-certificate-data").map(serde_json::from_value::<ByteString>);
    Ok(decoded.and_then(Result::ok).map(|ByteString(pem)| String::from_utf8_lossy(&pem).into_owned()))
}

/// The current context of one file.
///
/// # Errors
/// When the file cannot be read or parsed.
pub fn current_in(path: &Utf8Path) -> Result<Option<String>, KubeconfigError> {
    Ok(Merged::of_file(path)?.current().map(str::to_owned))
}

/// The current context of the user's kubeconfig.
///
/// # Errors
/// When a file cannot be read or parsed.
pub fn current(home: &Home) -> Result<Option<String>, KubeconfigError> {
    Ok(Merged::read(home, Needed::All)?.current().map(str::to_owned))
}

/// The name of the active instance, from the marker file that shell prompts read. `None` if no instance is active.
///
/// # Errors
/// When the marker cannot be read.
pub fn active(home: &Home) -> Result<Option<String>, KubeconfigError> {
    let name = files::read_text(&home.active_context())?.unwrap_or_default();
    Ok(Some(name.trim().to_owned()).filter(|name| !name.is_empty()))
}

/// Removes the marker of the active instance if it names this instance. Returns whether it did.
///
/// # Errors
/// When the marker cannot be read or removed.
pub fn clear_active(home: &Home, name: &str) -> Result<bool, KubeconfigError> {
    let active = match active(home) {
        Err(KubeconfigError::File(error)) if error.is_not_regular() => None, // not a file, so it names no instance
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

/// The mark of our entries. It includes the home, so it differs from the mark of another home's instance of that name.
fn mark(id: &InstanceId) -> Value {
    json!({ "name": MARK, "extension": { "instance": id.name, "scope": id.scope() } })
}

/// Whether an entry has the mark of this instance of this home.
fn is_ours(kind: Kind, entry: &Value, name: &str, home: &str) -> bool {
    let mark = mark(&InstanceId { home: home.to_owned(), name: name.to_owned() });
    let marks = entry.get(kind.one()).and_then(|body| body.get("extensions")).and_then(Value::as_array);
    document::name(entry) == Some(name) && marks.is_some_and(|marks| marks.contains(&mark))
}
