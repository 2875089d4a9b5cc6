//! A file per verb: what it takes, what it calls, what it says.

pub(crate) mod doctor;
pub(crate) mod up;
mod machines;
pub(crate) mod power;
pub(crate) mod down;
pub(crate) mod instance;
pub(crate) mod status;
pub(crate) mod events;
pub(crate) mod k8s;
pub(crate) mod kubectl;
pub(crate) mod tls;
pub(crate) mod dns;
pub(crate) mod audit;
pub(crate) mod reap;
pub(crate) mod assets;
pub(crate) mod demo;
pub(crate) mod completions;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use provisioner::spec::{CniKind, Label, Topology};

/// An instance's name on the command line: a DNS label, so never a path.
pub(crate) fn name(text: &str) -> Result<String, String> {
    text.parse::<Label>().map(|label| label.to_string()).map_err(|why| format!("the name {why}"))
}

/// A topology by its name; a wrong one is refused with all that exist.
pub(crate) fn topologies() -> impl TypedValueParser<Value = Topology> {
    named(Topology::ALL.map(|topology| (topology.as_str(), topology)))
}

/// A pod network by its name.
pub(crate) fn cnis() -> impl TypedValueParser<Value = CniKind> {
    named(CniKind::ALL.map(|cni| (cni.as_str(), cni)))
}

pub(crate) fn named<T, const N: usize>(all: [(&'static str, T); N]) -> impl TypedValueParser<Value = T>
where
    T: Copy + Send + Sync + 'static,
{
    PossibleValuesParser::new(all.map(|(name, _)| name)).try_map(move |text| {
        let found = all.iter().find(|(name, _)| *name == text);
        found.map(|(_, value)| *value).ok_or_else(|| format!("unknown: {text}"))
    })
}

/// A view as text for programs.
pub(crate) fn json(view: &impl serde::Serialize) -> String {
    let mut text = serde_json::to_string_pretty(view).expect("keys of a view are strings");
    text.push('\n');
    text
}
