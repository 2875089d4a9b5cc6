//! The ledger as it stands in its file. Pure.
//!
//! Entries stay the JSON they were read as unless they are changed, so what this version does not
//! understand, from a single field to a whole entry, survives every rewrite.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Instance;

/// The format that this version writes.
pub(super) const VERSION: u32 = 1;

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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Ledger {
    #[serde(default = "first_version")]
    pub(super) version: u32,
    instances: Vec<Value>,
    #[serde(flatten)]
    other: Map<String, Value>,
}

/// What a file without a version is.
fn first_version() -> u32 {
    1
}

/// Just enough to tell a newer file from a torn one.
#[derive(Deserialize)]
pub(super) struct Header {
    #[serde(default = "first_version")]
    pub(super) version: u32,
}

impl Default for Ledger {
    fn default() -> Self {
        Self { version: VERSION, instances: Vec::new(), other: Map::new() }
    }
}

impl Ledger {
    /// All entries in the order in which they were claimed.
    pub(super) fn entries(&self) -> Vec<Entry> {
        let mut names = Vec::new();
        self.instances
            .iter()
            .map(|value| {
                let name = value.get("name").and_then(Value::as_str).map(str::to_owned);
                if name.is_some() && names.contains(&name) {
                    return Entry::Broken { name, error: "another entry has the same name".to_owned() };
                }
                names.push(name.clone());
                match Instance::deserialize(value) {
                    Ok(instance) => Entry::Sound(instance),
                    Err(error) => Entry::Broken { name, error: error.to_string() },
                }
            })
            .collect()
    }

    /// Adds an instance.
    pub(super) fn push(&mut self, instance: &Instance) {
        self.instances.push(rendered(instance));
    }

    /// Replaces the entry at this place; fields that did not change stay exactly as they are written.
    pub(super) fn change(&mut self, place: usize, before: &Instance, after: &Instance) {
        let (before, after) = (rendered(before), rendered(after));
        let (Value::Object(old), Value::Object(new)) = (&mut self.instances[place], after) else {
            return; // an instance is an object on both sides
        };
        for (key, value) in new {
            if before.get(&key) != Some(&value) {
                old.insert(key, value);
            }
        }
    }

    /// Removes the entry at this place.
    pub(super) fn remove(&mut self, place: usize) {
        self.instances.remove(place);
    }

    /// The file's text, for people to read, too.
    pub(super) fn text(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("keys of a ledger are strings");
        text.push('\n');
        text
    }
}

fn rendered(instance: &Instance) -> Value {
    serde_json::to_value(instance).expect("keys of an instance are strings")
}
