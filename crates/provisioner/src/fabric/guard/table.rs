//! A table as nft lists it, reduced to the parts that say how it was built. Pure.
//!
//! `nft --json` also prints handles, counters and the elements of sets that the kernel fills; they are left out. Two
//! tables are equal when the other parts are equal (libnftables-json(5)).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::ruleset::{BRIDGES, GuardedLink, NAMED, NamedLinks, REFUSED, REPORTED};

/// A table in a form that can be compared.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Table {
    /// The properties of the table itself, such as its flags.
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
    /// Its elements as JSON; empty for a set that the kernel fills.
    pub(super) elements: BTreeSet<String>,
}

/// A chain with its rules in their order.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Chain {
    /// Its hook, priority and policy, if it has them.
    pub(super) definition: Map<String, Value>,
    pub(super) rules: Vec<Rule>,
}

/// A rule of a chain.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Rule {
    pub(super) comment: Option<String>,
    /// Its statements, without the values of counters.
    pub(super) statements: Value,
}

impl Rule {
    /// The rule's name in messages: its comment, or else its statements as JSON, cut after 160 characters.
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
    /// Parses nft's answer; `None` for an answer of another form.
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

    /// The links in its two sets of links; `None` if an element of these sets has another form.
    pub(super) fn told(&self) -> Option<NamedLinks> {
        let mut told = NamedLinks::default();
        for (name, set) in &self.sets {
            for element in &set.elements {
                let element: Value = serde_json::from_str(element).ok()?;
                told.add(&match name.as_str() {
                    NAMED => GuardedLink::Named(element.as_str()?.to_owned()),
                    BRIDGES => GuardedLink::Bridge(element.get("concat")?.get(0)?.as_str()?.to_owned()),
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

/// A copy of an object without its handle and these keys.
fn without(object: &Map<String, Value>, keys: &[&str]) -> Map<String, Value> {
    let stays = |key: &String| key != "handle" && !keys.contains(&key.as_str());
    object.iter().filter(|(key, _)| stays(key)).map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// A copy of statements with all counters replaced by `null`.
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
