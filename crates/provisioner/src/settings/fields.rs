//! A mapping of the settings' file, taken apart key by key; problems are collected with the path of their field.
//! Pure.

use camino::Utf8PathBuf;
use ipnet::Ipv4Net;
use serde_json::{Map, Value};

/// One thing that is wrong with the settings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} {why}")]
pub struct Problem {
    /// The path of the field, `pools.subnet.block`.
    pub field: String,
    /// What is wrong with it.
    pub why: String,
}

/// The keys of a mapping that are not taken yet.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    path: String,
    left: Map<String, Value>,
    known: Vec<&'static str>,
    problems: &'a mut Vec<Problem>,
}

impl<'a> Fields<'a> {
    /// A mapping, or an empty one with a problem if it is something else. What has no value has no keys.
    pub(super) fn of(path: String, value: Option<Value>, problems: &'a mut Vec<Problem>) -> Self {
        let mut fields = Self { path, left: Map::new(), known: Vec::new(), problems };
        match value {
            None | Some(Value::Null) => {}
            Some(Value::Object(left)) => fields.left = left,
            Some(other) => {
                let field = if fields.path.is_empty() { "the file".to_owned() } else { fields.path.clone() };
                let why = format!("{} is no mapping", shown(&other));
                fields.problems.push(Problem { field, why });
            }
        }
        fields
    }

    /// The mapping below this key.
    pub(super) fn section(&mut self, key: &'static str) -> Fields<'_> {
        self.known.push(key);
        let value = self.left.remove(key);
        Fields::of(self.field(key), value, self.problems)
    }

    /// The value of this key if it is there and sound; one that is not is a problem.
    pub(super) fn take<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&Value) -> Result<T, String>,
    ) -> Option<T> {
        self.known.push(key);
        let value = self.left.remove(key).filter(|value| !value.is_null())?;
        match parse(&value) {
            Ok(parsed) => Some(parsed),
            Err(why) => {
                self.refuse(key, &format!("{} {why}", shown(&value)));
                None
            }
        }
    }

    /// Records a problem of this key.
    pub(super) fn refuse(&mut self, key: &str, why: &str) {
        self.problems.push(Problem { field: self.field(key), why: why.to_owned() });
    }

    /// How many problems there are so far, in the whole file.
    pub(super) fn problems(&self) -> usize {
        self.problems.len()
    }

    /// Refuses every key that nobody took.
    pub(super) fn end(mut self) {
        let known = self.known.join(", ");
        for key in std::mem::take(&mut self.left).keys() {
            self.refuse(key, &format!("is unknown; known here: {known}"));
        }
    }

    fn field(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }
}

/// A value as the user wrote it, more or less.
fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| format!("'{value}'"), |text| format!("'{text}'"))
}

/// A network without host bits.
pub(super) fn network(value: &Value) -> Result<Ipv4Net, String> {
    let parsed = value.as_str().and_then(|text| text.parse::<Ipv4Net>().ok());
    match parsed {
        None => Err("is no IPv4 network such as 192.168.48.0/20".to_owned()),
        Some(net) if net.trunc() != net => Err(format!("has host bits set; did you mean {}?", net.trunc())),
        Some(net) => Ok(net),
    }
}

/// An absolute path.
pub(super) fn path(value: &Value) -> Result<Utf8PathBuf, String> {
    let path = value.as_str().map(Utf8PathBuf::from).filter(|path| path.is_absolute());
    path.ok_or_else(|| "is no absolute path".to_owned())
}

/// A list of words.
pub(super) fn words(value: &Value) -> Result<Vec<String>, String> {
    let words = value.as_array().and_then(|items| {
        items.iter().map(|item| item.as_str().filter(|word| !word.is_empty()).map(str::to_owned)).collect()
    });
    words.ok_or_else(|| "is no list of words such as [systemctl, restart, dnsmasq]".to_owned())
}
