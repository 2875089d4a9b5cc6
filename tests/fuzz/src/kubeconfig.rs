//! The user's kubeconfig. Entries that are not ours stay as they are, byte for byte in block style.

use serde_json::Value;

use provisioner::kubeconfig;

use crate::place::{Place, find};

/// A kubeconfig as kubeadm writes it, with shortened keys and certificates.
const ADMIN: &str = "apiVersion: v1
clusters:
- cluster: {certificate-authority-data: Q0E=, server: https://api.acme.lab:6443}
  name: kubernetes
contexts: []
kind: Config
users:
- name: kubernetes-admin
  user: {client-certificate-data: Q0VSVA==, client-key-data: U0VDUkVU}
";

/// The keys whose lines may change: our first entry removes `[]`, and the removal of our last entry adds it again.
const LISTS: [&[u8]; 3] = [b"clusters:", b"contexts:", b"users:"];

/// Merges the entries of two instances and removes them.
///
/// # Panics
/// When the rest of the file has changed.
pub fn kubeconfig(data: &[u8]) {
    thread_local!(static PLACE: (Place, [String; 2]) = {
        let place = Place::new();
        let (acme, first) = place.plan("acme", &[]);
        let (_, second) = place.plan("globex", &[acme]);
        let isolated = [first, second].map(|plan| kubeconfig::isolated(ADMIN, &plan).unwrap());
        (place, isolated)
    });
    PLACE.with(|(place, isolated)| {
        let file = place.home.merged_kubeconfig();
        let before = place.of_this_home(data);
        std::fs::write(file, &before).unwrap();
        let now = || std::fs::read(file).unwrap();
        let fits = kubeconfig::check(&place.home, "acme").is_ok();
        drop((kubeconfig::current(&place.home), kubeconfig::endpoint(&place.home, "acme")));
        assert_eq!(now(), before, "reading has changed the file");
        if find(&before, place.home.id().as_bytes()).is_some() {
            // The file has an entry that is ours or looks like ours, which may be replaced.
            drop(kubeconfig::merge(&place.home, &isolated[0]));
            drop(kubeconfig::use_context(&place.home, "acme"));
            drop(kubeconfig::unmerge(&place.home, "acme"));
            return;
        }
        if let Err(error) = kubeconfig::merge(&place.home, &isolated[0]) {
            assert!(!fits || !error.to_string().is_empty());
            assert_eq!(now(), before, "a merge that failed has changed the file: {error}");
            return;
        }
        assert!(fits, "the check refused a file that was merged");
        let merged = now();
        let second = kubeconfig::merge(&place.home, &isolated[1]).is_ok();
        assert!(kubeconfig::unmerge(&place.home, "acme").unwrap());
        if second {
            assert!(kubeconfig::unmerge(&place.home, "globex").unwrap());
        }
        same(&before, &merged, &now());
    });
}

/// Checks that the file is as before the merge.
fn same(before: &[u8], merged: &[u8], after: &[u8]) {
    let shown =
        || [before, merged, after].map(|text| String::from_utf8_lossy(text).into_owned()).join("\n-----\n");
    if before.strip_prefix("\u{feff}".as_bytes()).unwrap_or(before).trim_ascii().is_empty() {
        return; // the merge made an empty kubeconfig of it
    }
    let (old, new) = (values(before), values(after));
    assert_eq!(old, new, "values differ:\n{}", shown());
    // A text that is not in block style is serialised again, and keeps only its values.
    if lists_are_blocks(before) && in_order(before, merged) {
        assert!(foreign(before).eq(foreign(after)), "lines differ:\n{}", shown());
    }
}

/// The lines that must not change. If a text does not end with a line break, its last line has none.
fn foreign(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let lines = text.split_inclusive(|byte| *byte == b'\n');
    // `clusters:a` is another key: in a plain key, `:` is an indicator only before white space.
    let is = |line: &[u8], key: &[u8]| {
        line.strip_prefix(key).is_some_and(|rest| rest.first().is_none_or(u8::is_ascii_whitespace))
    };
    lines.filter(move |line| !LISTS.iter().any(|key| is(line, key)))
}

/// Whether no list is in flow style, such as `users: [a]`: its line may change, and is not counted among the others.
fn lists_are_blocks(text: &[u8]) -> bool {
    let value = |line: &[u8]| {
        let rest = LISTS.iter().find_map(|key| line.strip_prefix(*key))?;
        let end = rest.iter().position(|byte| *byte == b'#').unwrap_or(rest.len());
        Some(String::from_utf8_lossy(&rest[..end]).trim().to_owned())
    };
    let mut values = text.split(|byte| *byte == b'\n').filter_map(value);
    values.all(|value| ["", "[]", "null", "~"].contains(&value.as_str()))
}

/// Whether another text has all these lines in the same order.
fn in_order(text: &[u8], other: &[u8]) -> bool {
    let end = |line: &[u8]| line.trim_ascii_end().to_vec();
    let mut others = foreign(other).map(end);
    foreign(text).map(end).all(|line| others.any(|other| other == line))
}

/// The values of a kubeconfig, without empty lists, which are equivalent to none.
fn values(text: &[u8]) -> Value {
    let text = std::str::from_utf8(text).unwrap();
    let mut values = parsed(text.strip_prefix('\u{feff}').unwrap_or(text));
    if let Some(values) = values.as_object_mut() {
        let says = |value: &Value| !value.is_null() && value.as_array().is_none_or(|list| !list.is_empty());
        values.retain(|key, value| !["clusters", "contexts", "users"].contains(&key.as_str()) || says(value));
        // The removal of a context also clears a current context of its name.
        if values.get("current-context").is_some_and(|name| name == "acme" || name == "globex" || name == "")
        {
            values.remove("current-context");
        }
    }
    if values.is_null() { Value::Object(serde_json::Map::new()) } else { values }
}

fn parsed(text: &str) -> Value {
    let options = serde_saphyr::options! { strict_booleans: true, with_snippet: false };
    serde_saphyr::from_str_with_options(text, options).unwrap()
}
