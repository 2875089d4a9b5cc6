//! The ledger as it stands in its file. Pure.
//!
//! Entries stay the JSON they were read as unless they are changed, so what this version does not
//! understand, from a single field to a whole entry, survives every rewrite.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Instance;
use super::migrate;

/// The format that this version writes.
pub(super) const VERSION: u32 = migrate::PRESENT;

/// An entry as far as it can be understood.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "nearly all entries are sound, and there are dozens at most")]
pub enum Entry {
    /// An instance.
    Sound(Instance),
    /// Something that is none, or none that may be relied on.
    Broken {
        /// Its name, if that much is legible.
        name: Option<String>,
        /// What is wrong with it.
        error: String,
    },
}

impl Entry {
    /// The instance's name, if that much is legible.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Sound(instance) => Some(&instance.name),
            Self::Broken { name, .. } => name.as_deref(),
        }
    }
}

/// The whole file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Ledger {
    /// A file without a version is one of format 0.
    #[serde(default)]
    version: u32,
    instances: Vec<Value>,
    #[serde(flatten)]
    other: Map<String, Value>,
    /// Whether it is another one than was read.
    #[serde(skip)]
    changed: bool,
}

/// Why a text is no ledger that this version may use.
#[derive(Debug)]
pub(super) enum Unreadable {
    /// It is torn, or something else altogether.
    Damaged(serde_json::Error),
    /// It has this format, and a newer version of us wrote it.
    Newer(u32),
}

impl Default for Ledger {
    fn default() -> Self {
        Self { version: VERSION, instances: Vec::new(), other: Map::new(), changed: false }
    }
}

impl Ledger {
    /// The ledger in a text, brought to the present format, and the format that the text has.
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

    /// The entries of this name with their places: all but the first are broken.
    pub(super) fn named(&self, wanted: &str) -> Vec<(usize, Entry)> {
        let named = self.instances.iter().enumerate().filter(|(_, value)| name(value) == Some(wanted));
        named.enumerate().map(|(i, (place, value))| (place, entry(value, i == 0))).collect()
    }

    /// Whether it has to be written.
    pub(super) fn is_changed(&self) -> bool {
        self.changed
    }

    /// Adds an instance.
    pub(super) fn push(&mut self, instance: &Instance) {
        self.instances.push(rendered(instance));
        self.changed = true;
    }

    /// Replaces the entry at this place; fields that did not change stay exactly as they are written.
    pub(super) fn change(&mut self, place: usize, before: &Instance, after: &Instance) {
        self.changed |= merge(&mut self.instances[place], &rendered(before), &rendered(after));
    }

    /// Removes the entry at this place.
    pub(super) fn remove(&mut self, place: usize) {
        self.instances.remove(place);
        self.changed = true;
    }

    /// The file's text, for people to read, too.
    pub(super) fn text(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("keys of a ledger are strings");
        text.push('\n');
        text
    }
}

/// Writes the fields that differ between `before` and `after`, and no others; says whether there are any. The
/// Kubernetes part is one of several fields, too, while an owner is replaced as a whole.
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

/// An entry's name, if that much is legible.
fn name(value: &Value) -> Option<&str> {
    value.get("name").and_then(Value::as_str)
}

/// What an entry is, if it is the first of its name.
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

/// What makes no sense may be of a newer version, which may differ in everything but this field.
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
