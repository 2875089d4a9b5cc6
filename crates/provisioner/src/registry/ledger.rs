//! The ledger as JSON. Pure.
//!
//! An entry stays the JSON that was read, except for fields that a change sets. So fields and entries that this version
//! does not know survive every rewrite.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Instance;
use super::migrate;

/// The format that this version writes.
pub(super) const VERSION: u32 = migrate::PRESENT;

/// An entry, parsed as far as this version can.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "nearly all entries are sound, and there are dozens at most")]
pub enum Entry {
    /// An instance.
    Sound(Instance),
    /// An entry that cannot be parsed, or that has the name of an earlier entry.
    Broken {
        /// The entry's name; `None` if it has none that can be read.
        name: Option<String>,
        /// Why the entry is broken.
        error: String,
    },
}

impl Entry {
    /// The entry's name; `None` for a broken entry without a name that can be read.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Sound(instance) => Some(&instance.name),
            Self::Broken { name, .. } => name.as_deref(),
        }
    }
}

/// The file as a whole.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Ledger {
    /// A file without a version is one of format 0.
    #[serde(default)]
    version: u32,
    instances: Vec<Value>,
    #[serde(flatten)]
    other: Map<String, Value>,
    /// Whether the ledger was changed since it was read.
    #[serde(skip)]
    changed: bool,
}

/// Why a text is no ledger that this version can use.
#[derive(Debug)]
pub(super) enum Unreadable {
    /// It is incomplete, or no ledger at all.
    Damaged(serde_json::Error),
    /// It has this format, which a newer version of homelab wrote.
    Newer(u32),
}

impl Default for Ledger {
    fn default() -> Self {
        Self { version: VERSION, instances: Vec::new(), other: Map::new(), changed: false }
    }
}

impl Ledger {
    /// Parses a text and migrates the ledger to the present format. Also returns the format of the text.
    pub(super) fn parse(text: &[u8]) -> Result<(Self, u32), Unreadable> {
        let ledger: Self = serde_json::from_slice(text).map_err(|error| damaged_or_newer(text, error))?;
        match ledger.version {
            VERSION => Ok((ledger, VERSION)),
            newer if newer > VERSION => Err(Unreadable::Newer(newer)),
            old => {
                let value = serde_json::from_slice(text).map_err(Unreadable::Damaged)?;
                let migrated = serde_json::from_value(migrate::migrate(value, old));
                Ok((migrated.map_err(Unreadable::Damaged)?, old))
            }
        }
    }

    /// All entries in the order in which they were claimed.
    pub(super) fn entries(&self) -> Vec<Entry> {
        let mut names = HashSet::new();
        let mut first = |value| name(value).is_none_or(|name| names.insert(name));
        self.instances.iter().map(|value| entry(value, first(value))).collect()
    }

    /// The entries of this name, each with its index. All but the first are broken.
    pub(super) fn named(&self, wanted: &str) -> Vec<(usize, Entry)> {
        let named = self.instances.iter().enumerate().filter(|(_, value)| name(value) == Some(wanted));
        named.enumerate().map(|(i, (place, value))| (place, entry(value, i == 0))).collect()
    }

    /// Whether the ledger was changed and has to be written.
    pub(super) fn is_changed(&self) -> bool {
        self.changed
    }

    /// Adds an instance.
    pub(super) fn push(&mut self, instance: &Instance) {
        self.instances.push(rendered(instance));
        self.changed = true;
    }

    /// Replaces the entry at this index; fields that did not change keep their exact JSON.
    pub(super) fn change(&mut self, place: usize, before: &Instance, after: &Instance) {
        self.changed |= merge(&mut self.instances[place], &rendered(before), &rendered(after));
    }

    /// Removes the entry at this index.
    pub(super) fn remove(&mut self, place: usize) {
        self.instances.remove(place);
        self.changed = true;
    }

    /// The text of the file: indented JSON, so that people can read it.
    pub(super) fn text(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("keys of a ledger are strings");
        text.push('\n');
        text
    }
}

/// Sets the fields of `entry` that differ between `before` and `after`, and no others. Returns whether it set any. In
/// the part `k8s` it sets single fields, too; every other field, such as an owner, is replaced as a whole.
fn merge(entry: &mut Value, before: &Value, after: &Value) -> bool {
    let (Value::Object(entry), Value::Object(after)) = (entry, after) else {
        return false; // an instance is an object on all sides
    };
    let mut changed = false;
    for (key, value) in after.iter().filter(|(key, value)| before.get(key) != Some(value)) {
        match (entry.get_mut(key), before.get(key)) {
            (Some(part), Some(before)) if key == "k8s" => changed |= merge(part, before, value),
            _ => {
                entry.insert(key.clone(), value.clone());
                changed = true;
            }
        }
    }
    changed
}

/// The name of an entry; `None` if it has no name that is a string.
fn name(value: &Value) -> Option<&str> {
    value.get("name").and_then(Value::as_str)
}

/// Parses an entry. One that is not the first of its name is broken.
fn entry(value: &Value, first: bool) -> Entry {
    let name = name(value).map(str::to_owned);
    if !first {
        return Entry::Broken { name, error: "another entry has the same name".to_owned() };
    }
    match Instance::deserialize(value) {
        Ok(instance) => Entry::Sound(instance),
        Err(error) => Entry::Broken { name, error: error.to_string() },
    }
}

/// A text that cannot be parsed may come from a newer version: only the field `version` is the same in all formats.
fn damaged_or_newer(text: &[u8], error: serde_json::Error) -> Unreadable {
    #[derive(Deserialize)]
    struct Header {
        version: u32,
    }
    match serde_json::from_slice(text) {
        Ok(Header { version }) if version > VERSION => Unreadable::Newer(version),
        _ => Unreadable::Damaged(error),
    }
}

fn rendered(instance: &Instance) -> Value {
    serde_json::to_value(instance).expect("keys of an instance are strings")
}
