//! Takes a mapping of the settings' file apart key by key, and collects problems with the paths of their fields. Pure.

use camino::Utf8PathBuf;
use ipnet::Ipv4Net;
use serde_json::{Map, Value};

/// One problem of the settings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} {why}")]
pub struct SettingsProblem {
    /// The path of the field, `pools.subnet.block`.
    pub field: String,
    /// The problem, as the end of a sentence: `is unknown; known here: range, block, first`.
    pub why: String,
}

/// The keys of a mapping that are not taken yet.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    path: String,
    left: Map<String, Value>,
    known: Vec<&'static str>,
    problems: &'a mut Vec<SettingsProblem>,
}

impl<'a> Fields<'a> {
    /// The fields of a mapping. A missing or null value has no keys. Any other value is a problem, and has no keys
    /// either.
    pub(super) fn of(path: String, value: Option<Value>, problems: &'a mut Vec<SettingsProblem>) -> Self {
        let mut fields = Self { path, left: Map::new(), known: Vec::new(), problems };
        match value {
            None | Some(Value::Null) => {}
            Some(Value::Object(left)) => fields.left = left,
            Some(other) => {
                let field = if fields.path.is_empty() { "the file".to_owned() } else { fields.path.clone() };
                let why = format!("{} is not a mapping", shown(&other));
                fields.problems.push(SettingsProblem { field, why });
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

    /// The parsed value of this key; `None` when the key is missing, or when `parse` fails, which is a problem.
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

    /// Records a problem with this key.
    pub(super) fn refuse(&mut self, key: &str, why: &str) {
        self.problems.push(SettingsProblem { field: self.field(key), why: why.to_owned() });
    }

    /// The number of problems so far, in the whole file.
    pub(super) fn problems(&self) -> usize {
        self.problems.len()
    }

    /// Records a problem for every key that was not taken.
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

/// A value in quotes: text as the user wrote it, anything else as JSON.
fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| format!("'{value}'"), |text| format!("'{text}'"))
}

/// Parses an IPv4 network without host bits.
pub(super) fn network(value: &Value) -> Result<Ipv4Net, String> {
    let parsed = value.as_str().and_then(|text| text.parse::<Ipv4Net>().ok());
    match parsed {
        None => Err("is not an IPv4 network such as 192.168.48.0/20".to_owned()),
        Some(net) if net.trunc() != net => Err(format!("has host bits set; did you mean {}?", net.trunc())),
        Some(net) => Ok(net),
    }
}

/// Parses an absolute path.
pub(super) fn path(value: &Value) -> Result<Utf8PathBuf, String> {
    let path = value.as_str().map(Utf8PathBuf::from).filter(|path| path.is_absolute());
    path.ok_or_else(|| "is not an absolute path".to_owned())
}

/// Parses a list of non-empty strings.
pub(super) fn words(value: &Value) -> Result<Vec<String>, String> {
    let words = value.as_array().and_then(|items| {
        items.iter().map(|item| item.as_str().filter(|word| !word.is_empty()).map(str::to_owned)).collect()
    });
    words.ok_or_else(|| "is not a list of words such as [systemctl, restart, dnsmasq]".to_owned())
}
