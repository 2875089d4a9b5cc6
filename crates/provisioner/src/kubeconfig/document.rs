//! A kubeconfig as text *and* as values, edited in both at once.
//!
//! Rendering a parsed kubeconfig anew loses comments, order and style. So an edit is made in the lines of
//! the text, as kubectl and most people write them, and counts only if the new text parses to exactly the
//! values that are wanted. Only where it does not (flow style, for instance) is the whole file rendered
//! anew, with sorted keys and without comments, which is what kubectl does at every edit.

use serde_json::{Map, Value, json};

use super::KubeconfigError;
use super::lines::Lines;

/// The three lists of a kubeconfig.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Cluster,
    Context,
    User,
}

impl Kind {
    pub(super) const ALL: [Self; 3] = [Self::Cluster, Self::Context, Self::User];

    /// The key of an entry's body.
    pub(super) fn one(self) -> &'static str {
        match self {
            Self::Cluster => "cluster",
            Self::Context => "context",
            Self::User => "user",
        }
    }

    /// The key of the list.
    fn all(self) -> &'static str {
        match self {
            Self::Cluster => "clusters",
            Self::Context => "contexts",
            Self::User => "users",
        }
    }
}

/// The name of an entry.
pub(super) fn name(entry: &Value) -> Option<&str> {
    entry.get("name")?.as_str()
}

/// A kubeconfig; its text always parses to its values.
#[derive(Debug)]
pub(super) struct Document {
    file: String,
    text: String,
    values: Map<String, Value>,
}

impl Document {
    /// A kubeconfig without any entry.
    pub(super) fn empty(file: &str) -> Self {
        let text = "apiVersion: v1\nclusters: []\ncontexts: []\ncurrent-context: \"\"\nkind: Config\n\
                    preferences: {}\nusers: []\n";
        Self::parse(file, text).expect("an empty kubeconfig is one")
    }

    /// A kubeconfig from its text; an empty text is an empty kubeconfig.
    pub(super) fn parse(file: &str, text: &str) -> Result<Self, KubeconfigError> {
        if text.trim().is_empty() {
            return Ok(Self::empty(file));
        }
        let source = |error| KubeconfigError::Unparsable { file: file.to_owned(), source: Box::new(error) };
        match parsed(text).map_err(source)? {
            Value::Object(values) => Ok(Self { file: file.to_owned(), text: text.to_owned(), values }),
            _ => Err(shape(file, "it is no mapping")),
        }
    }

    /// The text.
    pub(super) fn into_text(self) -> String {
        self.text
    }

    /// All entries of a kind.
    pub(super) fn entries(&self, kind: Kind) -> Result<&[Value], KubeconfigError> {
        match self.values.get(kind.all()) {
            None | Some(Value::Null) => Ok(&[]),
            Some(Value::Array(entries)) => Ok(entries),
            Some(_) => Err(shape(&self.file, &format!("its {} are no list", kind.all()))),
        }
    }

    /// The entry of this name.
    pub(super) fn find(&self, kind: Kind, wanted: &str) -> Result<Option<&Value>, KubeconfigError> {
        Ok(self.entries(kind)?.iter().find(|entry| name(entry) == Some(wanted)))
    }

    /// The body of the only entry of a kind.
    pub(super) fn only(&self, kind: Kind) -> Result<Map<String, Value>, KubeconfigError> {
        match self.entries(kind)? {
            [entry] if entry.get(kind.one()).is_some_and(Value::is_object) => {
                Ok(entry[kind.one()].as_object().cloned().unwrap_or_default())
            }
            entries => {
                Err(shape(&self.file, &format!("{} entries in {}, not one", entries.len(), kind.all())))
            }
        }
    }

    /// The API server that an entry leads to.
    pub(super) fn server(&self, kind: Kind, entry: &Value) -> Option<String> {
        let cluster = match kind {
            Kind::User => return None,
            Kind::Cluster => entry,
            Kind::Context => self.find(Kind::Cluster, entry["context"]["cluster"].as_str()?).ok()??,
        };
        cluster["cluster"]["server"].as_str().map(str::to_owned)
    }

    /// The current context.
    pub(super) fn current(&self) -> Option<&str> {
        self.values.get("current-context")?.as_str()
    }

    /// Replaces the entry of the same name, or adds one behind the others.
    pub(super) fn put(&mut self, kind: Kind, entry: Value) -> Result<(), KubeconfigError> {
        let mut entries = self.entries(kind)?.to_vec();
        match entries.iter().position(|old| name(old) == name(&entry)) {
            Some(place) if entries[place] == entry => Ok(()),
            Some(place) => {
                let text = Lines(&self.text).replaced(kind.all(), entries.len(), place, Some(&entry));
                entries[place] = entry;
                self.take_on(kind.all(), Value::Array(entries), text)
            }
            None => {
                let text = Lines(&self.text).appended(kind.all(), entries.len(), &entry);
                entries.push(entry);
                self.take_on(kind.all(), Value::Array(entries), text)
            }
        }
    }

    /// Removes an entry.
    pub(super) fn remove(&mut self, kind: Kind, place: usize) -> Result<(), KubeconfigError> {
        let mut entries = self.entries(kind)?.to_vec();
        let text = Lines(&self.text).replaced(kind.all(), entries.len(), place, None);
        entries.remove(place);
        self.take_on(kind.all(), Value::Array(entries), text)
    }

    /// Chooses the current context; none is the empty name, as kubectl has it.
    pub(super) fn set_current(&mut self, name: &str) -> Result<(), KubeconfigError> {
        if self.current() == Some(name) {
            return Ok(());
        }
        let text = Lines(&self.text).with_line("current-context", &json!(name));
        self.take_on("current-context", name.into(), Some(text))
    }

    /// Takes on a new value under a key: with the edited text if that parses to it, rendered anew otherwise.
    fn take_on(&mut self, key: &str, value: Value, text: Option<String>) -> Result<(), KubeconfigError> {
        self.values.insert(key.to_owned(), value);
        let wanted = Value::Object(self.values.clone());
        let faithful = |text: &String| parsed(text).is_ok_and(|values| values == wanted);
        let anew =
            || Some(rendered(&wanted)).filter(|text| faithful(text) && spelled_alike(&self.text, &wanted));
        let why =
            "it is not in block style, and a value in it would be spelled differently when written again";
        self.text = text.filter(faithful).or_else(anew).ok_or_else(|| shape(&self.file, why))?;
        Ok(())
    }
}

fn shape(file: &str, why: &str) -> KubeconfigError {
    KubeconfigError::Shape { file: file.to_owned(), why: why.to_owned() }
}

/// `yes` and `off` stay words, as in YAML 1.2; and errors must not quote lines, which hold private keys.
fn parsed(text: &str) -> Result<Value, serde_saphyr::Error> {
    let options = serde_saphyr::options! { strict_booleans: true, with_snippet: false };
    serde_saphyr::from_str_with_options(text, options)
}

/// Whether all numbers among the values stand in the text as they would be written. Others, such as a
/// password `1e3`, may well be read as words by whoever needs them.
fn spelled_alike(text: &str, values: &Value) -> bool {
    match values {
        Value::Number(number) => {
            let mut words = text.split(|c: char| !c.is_alphanumeric() && !"+-._".contains(c));
            words.any(|word| word == number.to_string())
        }
        Value::Array(values) => values.iter().all(|value| spelled_alike(text, value)),
        Value::Object(values) => values.values().all(|value| spelled_alike(text, value)),
        Value::Null | Value::Bool(_) | Value::String(_) => true,
    }
}

/// Certificates are long lines, which must not be folded.
pub(super) fn rendered(value: &impl serde::Serialize) -> String {
    let options = serde_saphyr::ser_options! { prefer_block_scalars: false };
    serde_saphyr::to_string_with_options(value, options).expect("JSON values can be written as YAML")
}
