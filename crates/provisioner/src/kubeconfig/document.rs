//! A kubeconfig as text *and* as values, which are edited together.
//!
//! Serialising a parsed kubeconfig loses comments, order and style. So an edit changes lines of the text, in the
//! style of kubectl and most users, and is accepted only if the new text parses to exactly the wanted values. If it
//! does not (in flow style, for example), the whole file is serialised again, without comments, as kubectl does at
//! every edit.

use camino::Utf8Path;
use serde_json::{Map, Value, json};

use crate::files::failed;

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

/// The text of a new kubeconfig.
const EMPTY: &str = "apiVersion: v1\nclusters: []\ncontexts: []\ncurrent-context: \"\"\nkind: Config\n\
                     preferences: {}\nusers: []\n";

/// The byte order mark, which some editors write at the beginning of a text.
const BYTE_ORDER: char = '\u{feff}';

/// A kubeconfig. Its text always parses to its values; a text without contents stands for [`EMPTY`].
#[derive(Debug)]
pub(super) struct Document {
    file: String,
    /// Whether the text follows a [`BYTE_ORDER`] mark.
    is_marked: bool,
    text: String,
    values: Map<String, Value>,
}

impl Document {
    /// A kubeconfig without entries. `file` names it in errors.
    pub(super) fn empty(file: &str) -> Self {
        Self::parse(file, EMPTY).expect("the text of an empty kubeconfig can be parsed")
    }

    /// Parses the contents of a file.
    pub(super) fn of_file(path: &Utf8Path, contents: &[u8]) -> Result<Self, KubeconfigError> {
        // The error must not quote the contents: this one has only the position.
        let no_text = |error| std::io::Error::new(std::io::ErrorKind::InvalidData, error);
        let text = std::str::from_utf8(contents).map_err(no_text).map_err(failed("read", path))?;
        Self::parse(path.as_str(), text)
    }

    /// Parses a text. A text without contents is an empty kubeconfig, and is not changed before it is edited.
    pub(super) fn parse(file: &str, text: &str) -> Result<Self, KubeconfigError> {
        let unmarked = text.strip_prefix(BYTE_ORDER);
        let (is_marked, text) = (unmarked.is_some(), unmarked.unwrap_or(text).to_owned());
        let source = |error| KubeconfigError::Unparsable { file: file.to_owned(), source: Box::new(error) };
        let parsed = match text.trim().is_empty() {
            true => parsed(EMPTY),
            false => parsed(&text),
        };
        let values = match parsed.map_err(source)? {
            Value::Object(values) => values,
            Value::Null => Map::new(), // only comments
            _ => return Err(shape(file, "it is not a YAML mapping")),
        };
        Ok(Self { file: file.to_owned(), is_marked, text, values })
    }

    /// The contents to write to the file.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mark = self.is_marked.then_some(BYTE_ORDER);
        mark.map(String::from).unwrap_or_default().into_bytes().into_iter().chain(self.text.bytes()).collect()
    }

    /// Replaces a text without contents by [`EMPTY`].
    fn begin(&mut self) {
        if self.text.trim().is_empty() {
            self.text = EMPTY.to_owned();
        }
    }

    pub(super) fn into_text(self) -> String {
        self.text
    }

    /// All entries of a kind.
    pub(super) fn entries(&self, kind: Kind) -> Result<&[Value], KubeconfigError> {
        match self.values.get(kind.all()) {
            None | Some(Value::Null) => Ok(&[]),
            Some(Value::Array(entries)) => Ok(entries),
            Some(_) => Err(shape(&self.file, &format!("its {} are not a list", kind.all()))),
        }
    }

    /// The entry of this name.
    pub(super) fn find(&self, kind: Kind, wanted: &str) -> Result<Option<&Value>, KubeconfigError> {
        Ok(self.entries(kind)?.iter().find(|entry| name(entry) == Some(wanted)))
    }

    /// The body of the entry of a kind; an error if it is not the only one.
    pub(super) fn only(&self, kind: Kind) -> Result<Map<String, Value>, KubeconfigError> {
        match self.entries(kind)? {
            [entry] if entry.get(kind.one()).is_some_and(Value::is_object) => {
                Ok(entry[kind.one()].as_object().cloned().unwrap_or_default())
            }
            entries => {
                Err(shape(&self.file, &format!("it has {} entries in {}, not 1", entries.len(), kind.all())))
            }
        }
    }

    /// The URL of an entry's API server. `None` for a user, or if the entry has none.
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

    /// Replaces the entry of the same name, or appends the entry.
    pub(super) fn put(&mut self, kind: Kind, entry: Value) -> Result<(), KubeconfigError> {
        self.begin();
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

    /// Removes the entry with this index. Also removes the list if homelab has added it with this entry.
    pub(super) fn remove(&mut self, kind: Kind, place: usize) -> Result<(), KubeconfigError> {
        let mut entries = self.entries(kind)?.to_vec();
        if let Some(text) = Lines(&self.text).without_list(kind.all(), entries.len()) {
            let mut values = self.values.clone();
            values.remove(kind.all());
            if parsed(&text).is_ok_and(|parsed| is_mapping(&parsed, &values)) {
                (self.text, self.values) = (text, values);
                return Ok(());
            }
        }
        let text = Lines(&self.text).replaced(kind.all(), entries.len(), place, None);
        entries.remove(place);
        self.take_on(kind.all(), Value::Array(entries), text)
    }

    /// Sets the current context. The empty name means none, as in kubectl.
    pub(super) fn set_current(&mut self, name: &str) -> Result<(), KubeconfigError> {
        if self.current() == Some(name) {
            return Ok(());
        }
        self.begin();
        let text = Lines(&self.text).with_line("current-context", &json!(name));
        self.take_on("current-context", name.into(), Some(text))
    }

    /// Sets a value, with the edited text if that parses to the new values, otherwise with all values serialised again.
    fn take_on(&mut self, key: &str, value: Value, text: Option<String>) -> Result<(), KubeconfigError> {
        self.values.insert(key.to_owned(), value);
        let wanted = Value::Object(self.values.clone());
        let faithful = |text: &String| parsed(text).is_ok_and(|values| values == wanted);
        let serialised =
            || Some(rendered(&wanted)).filter(|text| faithful(text) && spelled_alike(&self.text, &wanted));
        let why = "it is not in block style, and writing it again would change the spelling of a value";
        self.text = text.filter(faithful).or_else(serialised).ok_or_else(|| shape(&self.file, why))?;
        Ok(())
    }
}

/// Whether a parsed text has these values. A text of only comments parses to null and has none.
fn is_mapping(parsed: &Value, values: &Map<String, Value>) -> bool {
    match parsed {
        Value::Null => values.is_empty(),
        parsed => parsed.as_object() == Some(values),
    }
}

fn shape(file: &str, why: &str) -> KubeconfigError {
    KubeconfigError::Shape { file: file.to_owned(), why: why.to_owned() }
}

/// Parses YAML. `yes` and `off` stay strings, as in YAML 1.2. Errors quote no lines, which contain private keys.
fn parsed(text: &str) -> Result<Value, serde_saphyr::Error> {
    let options = serde_saphyr::options! { strict_booleans: true, with_snippet: false };
    serde_saphyr::from_str_with_options(text, options)
}

/// Whether the text spells all numbers among the values as they would be written. A program may read a number with
/// another spelling, such as a password `1e3`, as a string, and that string must not change.
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

/// Serialises a value as YAML. Long lines, such as certificates, are not folded.
pub(super) fn rendered(value: &impl serde::Serialize) -> String {
    let options = serde_saphyr::ser_options! { prefer_block_scalars: false };
    serde_saphyr::to_string_with_options(value, options).expect("JSON values can be written as YAML")
}
