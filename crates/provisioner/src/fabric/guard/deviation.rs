//! The differences between the guard on the host and the guard that was built. Pure.

use std::collections::BTreeSet;
use std::fmt;

use ipnet::Ipv4Net;
use serde_json::{Map, Value};

use super::settings::Settings;
use super::table::{Chain, Rule, Table};

/// The parts of the guard that are compared: as they must be, or as they are.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct GuardState {
    /// The table with the rules; `None` if there is no table, or it was not read.
    pub(super) table: Option<Table>,
    /// The ranges of the `unreachable` routes.
    pub(super) routes: BTreeSet<Ipv4Net>,
    /// The settings of our links.
    pub(super) settings: Settings,
    /// The settings for all interfaces that apply in addition to those of our links.
    pub(super) of_all: Settings,
}

/// One difference from the guard that was built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deviation {
    /// The table does not exist, as after `nft flush ruleset`.
    NoTable,
    /// The table has other flags than it was built with, such as `dormant`.
    TableFlags,
    /// A chain or a set does not exist.
    Missing {
        /// `chain input`, `set links`.
        what: String,
    },
    /// The table has a chain, a set or another object that was not built.
    Foreign {
        /// `chain extra`, `map table`.
        what: String,
    },
    /// A chain or a set has another definition.
    Changed {
        /// `chain input`, `set links`.
        what: String,
        /// `policy is drop, not accept`.
        how: String,
    },
    /// A chain has no rules any more.
    Emptied {
        /// The name of the chain.
        chain: String,
    },
    /// A chain does not have one of its rules.
    RuleMissing {
        /// The name of the chain.
        chain: String,
        /// The rule's comment, or else its statements as JSON.
        rule: String,
    },
    /// A chain has a rule that was not built.
    RuleForeign {
        /// The name of the chain.
        chain: String,
        /// The rule's comment, or else its statements as JSON.
        rule: String,
    },
    /// The rules of a chain are in another order.
    Order {
        /// The name of the chain.
        chain: String,
    },
    /// A set does not have one of its elements.
    ElementMissing {
        /// The name of the set.
        set: String,
        /// The element as JSON.
        element: String,
    },
    /// A set has an element that was not built.
    ElementForeign {
        /// The name of the set.
        set: String,
        /// The element as JSON.
        element: String,
    },
    /// A range of a pool has no `unreachable` route.
    NoRoute {
        /// The range.
        range: Ipv4Net,
    },
    /// A kernel setting of a link of ours has another value.
    Setting {
        /// `net/ipv4/conf/hl-0a1b2c/forwarding`, below `/proc/sys`.
        key: String,
        /// The present value.
        found: String,
        /// The value that homelab set.
        wanted: String,
    },
    /// A setting for all interfaces opens our links, too. It is not part of the guard, and homelab does not change it.
    SettingOfAll {
        /// `net.ipv4.conf.all.proxy_arp`, as sysctl(8) takes it.
        key: String,
        /// The present value.
        found: String,
        /// The value that opens no link.
        wanted: String,
    },
}

impl Deviation {
    /// Whether it is in the guard itself, so that homelab restores it.
    pub fn is_ours(&self) -> bool {
        !matches!(self, Self::SettingOfAll { .. })
    }
}

impl fmt::Display for Deviation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoTable => f.write_str("nftables has no table inet homelab"),
            Self::TableFlags => {
                f.write_str("table inet homelab has flags that it was not built with: it may be dormant")
            }
            Self::Missing { what } => write!(f, "{what} is missing"),
            Self::Foreign { what } => write!(f, "{what} was added"),
            Self::Changed { what, how } => write!(f, "{what} was changed: {how}"),
            Self::Emptied { chain } => write!(f, "chain {chain} is empty"),
            Self::RuleMissing { chain, rule } => write!(f, "a rule of chain {chain} is missing: {rule}"),
            Self::RuleForeign { chain, rule } => write!(f, "a rule was added to chain {chain}: {rule}"),
            Self::Order { chain } => write!(f, "the rules of chain {chain} are in another order"),
            Self::ElementMissing { set, element } => write!(f, "set {set} lacks {element}"),
            Self::ElementForeign { set, element } => write!(f, "{element} was added to set {set}"),
            Self::NoRoute { range } => write!(f, "the unreachable route for {range} is missing"),
            Self::Setting { key, found, wanted } => write!(f, "{key} is {found}, not {wanted}"),
            Self::SettingOfAll { key, found, wanted } => {
                write!(f, "{key} is {found}, which opens every interface: `sysctl -w {key}={wanted}`")
            }
        }
    }
}

/// All differences of `found` from `wanted`.
pub(super) fn compare(wanted: &GuardState, found: &GuardState) -> Vec<Deviation> {
    let mut all = Vec::new();
    match (&wanted.table, &found.table) {
        (Some(wanted), Some(found)) => tables(wanted, found, &mut all),
        (Some(_), None) => all.push(Deviation::NoTable),
        (None, _) => {}
    }
    all.extend(wanted.routes.difference(&found.routes).map(|range| Deviation::NoRoute { range: *range }));
    all.extend(changed(&wanted.settings, &found.settings).map(|(key, found, wanted)| Deviation::Setting {
        key: format!("net/{key}"),
        found,
        wanted,
    }));
    all.extend(changed(&wanted.of_all, &found.of_all).map(|(key, found, wanted)| Deviation::SettingOfAll {
        key: format!("net/{key}").replace('/', "."),
        found,
        wanted,
    }));
    all
}

/// The settings with another value: key, present value, wanted value. A setting that is missing is no deviation, since
/// its link is gone.
fn changed<'a>(wanted: &'a Settings, found: &'a Settings) -> impl Iterator<Item = (&'a str, String, String)> {
    wanted.iter().filter_map(|(key, wanted)| {
        let found = found.get(key).filter(|found| *found != wanted)?;
        Some((key.as_str(), found.clone(), wanted.clone()))
    })
}

fn tables(wanted: &Table, found: &Table, all: &mut Vec<Deviation>) {
    if wanted.header != found.header {
        all.push(Deviation::TableFlags);
    }
    for (name, set) in &wanted.sets {
        let what = format!("set {name}");
        let Some(there) = found.sets.get(name) else {
            all.push(Deviation::Missing { what });
            continue;
        };
        all.extend(definitions(&what, &set.definition, &there.definition));
        let missing = set.elements.difference(&there.elements);
        all.extend(
            missing.map(|element| Deviation::ElementMissing { set: name.clone(), element: element.clone() }),
        );
        let foreign = there.elements.difference(&set.elements);
        all.extend(
            foreign.map(|element| Deviation::ElementForeign { set: name.clone(), element: element.clone() }),
        );
    }
    for (name, chain) in &wanted.chains {
        let what = format!("chain {name}");
        match found.chains.get(name) {
            None => all.push(Deviation::Missing { what }),
            Some(there) => {
                all.extend(definitions(&what, &chain.definition, &there.definition));
                rules(name, chain, there, all);
            }
        }
    }
    let foreign = |what: String| Deviation::Foreign { what };
    let sets = found.sets.keys().filter(|name| !wanted.sets.contains_key(*name));
    all.extend(sets.map(|name| foreign(format!("set {name}"))));
    let chains = found.chains.keys().filter(|name| !wanted.chains.contains_key(*name));
    all.extend(chains.map(|name| foreign(format!("chain {name}"))));
    let others = found.others.iter().filter(|other| !wanted.others.contains(other));
    all.extend(others.map(|other| foreign(other.clone())));
}

fn definitions(what: &str, wanted: &Map<String, Value>, found: &Map<String, Value>) -> Option<Deviation> {
    let keys: BTreeSet<&String> = wanted.keys().chain(found.keys()).collect();
    let said = |value: Option<&Value>| match value {
        None => "none".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    let differ = keys.into_iter().filter(|key| wanted.get(*key) != found.get(*key));
    let how: Vec<String> = differ
        .map(|key| format!("{key} is {}, not {}", said(found.get(key)), said(wanted.get(key))))
        .collect();
    (!how.is_empty()).then(|| Deviation::Changed { what: what.to_owned(), how: how.join(", ") })
}

fn rules(name: &str, wanted: &Chain, found: &Chain, all: &mut Vec<Deviation>) {
    let chain = || name.to_owned();
    if found.rules.is_empty() && !wanted.rules.is_empty() {
        return all.push(Deviation::Emptied { chain: chain() });
    }
    let (missing, foreign) = (beyond(&wanted.rules, &found.rules), beyond(&found.rules, &wanted.rules));
    if missing.is_empty() && foreign.is_empty() && wanted.rules != found.rules {
        all.push(Deviation::Order { chain: chain() });
    }
    all.extend(missing.into_iter().map(|rule| Deviation::RuleMissing { chain: chain(), rule: rule.name() }));
    all.extend(foreign.into_iter().map(|rule| Deviation::RuleForeign { chain: chain(), rule: rule.name() }));
}

/// The rules of `these` that are not in `those`. A rule that is twice in `these` must be twice in `those`.
fn beyond<'a>(these: &'a [Rule], those: &[Rule]) -> Vec<&'a Rule> {
    let mut left: Vec<&Rule> = those.iter().collect();
    let mut beyond = Vec::new();
    for rule in these {
        match left.iter().position(|other| *other == rule) {
            Some(place) => drop(left.swap_remove(place)),
            None => beyond.push(rule),
        }
    }
    beyond
}

#[cfg(test)]
mod tests;
