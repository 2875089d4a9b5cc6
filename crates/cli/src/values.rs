//! Values on the command line that several verbs share: instance names, topologies, pod networks, output formats. Pure.

use clap::ValueEnum;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use provisioner::request::{CniKind, Label, Topology};

/// An instance's name on the command line: a DNS label, so never a path.
pub(crate) fn name(text: &str) -> Result<String, String> {
    text.parse::<Label>().map(|label| label.to_string()).map_err(|why| format!("the name {why}"))
}

/// Parses a topology by its name. The error for an unknown name lists all topologies.
pub(crate) fn topologies() -> impl TypedValueParser<Value = Topology> {
    named(Topology::ALL.map(|topology| (topology.as_str(), topology)))
}

/// Parses a pod network by its name. The error for an unknown name lists all pod networks.
pub(crate) fn cnis() -> impl TypedValueParser<Value = CniKind> {
    named(CniKind::ALL.map(|cni| (cni.as_str(), cni)))
}

/// Parses one of these values by its name. The error for an unknown name lists all names.
pub(crate) fn named<T, const N: usize>(all: [(&'static str, T); N]) -> impl TypedValueParser<Value = T>
where
    T: Copy + Send + Sync + 'static,
{
    PossibleValuesParser::new(all.map(|(name, _)| name)).try_map(move |text| {
        let found = all.iter().find(|(name, _)| *name == text);
        found.map(|(_, value)| *value).ok_or_else(|| format!("unknown: {text}"))
    })
}

/// The format of a result on stdout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs; new versions only add fields.
    Json,
}
