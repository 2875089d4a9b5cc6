//! A table as nft lists it, without what differs from one listing to the next. Pure.
//!
//! `nft --json` prints handles, counters and the elements of sets that the kernel fills: none of these says how the
//! guard was built. Two tables are the same when what is left is (libnftables-json(5)).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::ruleset::{BRIDGES, Link, NAMED, REFUSED, REPORTED, Told};

/// A table in a form that can be compared.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Table {
    /// The table itself: its flags, where it has some.
    pub(super) header: Map<String, Value>,
    pub(super) sets: BTreeMap<String, Set>,
    pub(super) chains: BTreeMap<String, Chain>,
    /// Objects of kinds that the guard has none of: maps, flow tables, named counters.
    pub(super) others: Vec<String>,
}

/// A set of links.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Set {
    /// Its type and flags.
    pub(super) definition: Map<String, Value>,
    /// Its elements as JSON; none of a set that the kernel fills.
    pub(super) elements: BTreeSet<String>,
}

/// A chain with its rules in their order.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Chain {
    /// Its hook, priority and policy, where it has some.
    pub(super) definition: Map<String, Value>,
    pub(super) rules: Vec<Rule>,
}

/// A rule.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Rule {
    pub(super) comment: Option<String>,
    /// Its statements, without what they have counted.
    pub(super) statements: Value,
}

impl Rule {
    /// How it is called in messages: its comment, or else its statements.
    pub(super) fn name(&self) -> String {
        const LONGEST: usize = 160;
        let name = self.comment.clone().unwrap_or_else(|| self.statements.to_string());
        match name.char_indices().nth(LONGEST) {
            Some((end, _)) => format!("{}…", &name[..end]),
            None => name,
        }
    }
}

impl Table {
    /// The table in nft's answer; nothing for an answer in another form.
    pub(super) fn read(answer: &str) -> Option<Self> {
        let answer: Value = serde_json::from_str(answer).ok()?;
        let mut table = Self::default();
        for object in answer.get("nftables")?.as_array()? {
            let (kind, object) = object.as_object()?.iter().next()?;
            let Some(object) = object.as_object() else { continue };
            let text = |key: &str| object.get(key).and_then(Value::as_str).map(str::to_owned);
            match kind.as_str() {
                "metainfo" => {}
                "table" => table.header = without(object, &["family", "name"]),
                "set" => {
                    table.sets.insert(text("name")?, Set::read(object)?);
                }
                "chain" => {
                    let definition = without(object, &["family", "table", "name"]);
                    table.chains.entry(text("name")?).or_default().definition = definition;
                }
                "rule" => {
                    let statements = uncounted(object.get("expr")?);
                    let rule = Rule { comment: text("comment"), statements };
                    table.chains.entry(text("chain")?).or_default().rules.push(rule);
                }
                other => table.others.push(format!("{other} {}", text("name").unwrap_or_default())),
            }
        }
        Some(table)
    }

    /// The links that its sets name; nothing where a set of this name has elements of another form.
    pub(super) fn told(&self) -> Option<Told> {
        let mut told = Told::default();
        for (name, set) in &self.sets {
            for element in &set.elements {
                let element: Value = serde_json::from_str(element).ok()?;
                told.add(&match name.as_str() {
                    NAMED => Link::Named(element.as_str()?.to_owned()),
                    BRIDGES => Link::Bridge(element.get("concat")?.get(0)?.as_str()?.to_owned()),
                    _ => continue,
                });
            }
        }
        Some(told)
    }
}

impl Set {
    fn read(object: &Map<String, Value>) -> Option<Self> {
        let filled_by_the_kernel = [REFUSED, REPORTED].contains(&object.get("name")?.as_str()?);
        let elements = match object.get("elem") {
            Some(all) if !filled_by_the_kernel => all.as_array()?.iter().map(Value::to_string).collect(),
            _ => BTreeSet::new(),
        };
        Some(Self { definition: without(object, &["family", "table", "name", "elem"]), elements })
    }
}

/// An object without its handle and these keys.
fn without(object: &Map<String, Value>, keys: &[&str]) -> Map<String, Value> {
    let stays = |key: &String| key != "handle" && !keys.contains(&key.as_str());
    object.iter().filter(|(key, _)| stays(key)).map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// Statements with all counters at nothing.
fn uncounted(value: &Value) -> Value {
    match value {
        Value::Object(object) => {
            let part = |(key, value): (&String, &Value)| {
                (key.clone(), if key == "counter" { Value::Null } else { uncounted(value) })
            };
            Value::Object(object.iter().map(part).collect())
        }
        Value::Array(all) => Value::Array(all.iter().map(uncounted).collect()),
        other => other.clone(),
    }
}
