//! Reads `engine` and the section `vagrant`: the defaults for the nodes of new instances. Pure.

use std::fmt;
use std::str::FromStr;

use serde_json::Value;

use crate::request::{NodeSize, Provider};

use super::fields::Fields;

/// The engine that makes nodes, without its hypervisor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EngineFamily {
    /// Containers, which share this host's kernel.
    #[default]
    Container,
    /// Virtual machines, made by Vagrant.
    Vagrant,
}

impl EngineFamily {
    /// All families.
    pub const ALL: [Self; 2] = [Self::Container, Self::Vagrant];

    /// The name in the settings and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Container => "container",
            Self::Vagrant => "vagrant",
        }
    }
}

impl fmt::Display for EngineFamily {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for EngineFamily {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = || Self::ALL.map(Self::as_str).join(", ");
        let found = Self::ALL.into_iter().find(|family| family.as_str() == text);
        found.ok_or_else(|| format!("is unknown; known: {}", known()))
    }
}

/// The section `vagrant`: provider and size of VMs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Vagrant {
    /// The hypervisor; `None` for the first that this host is ready for.
    pub provider: Option<Provider>,
    /// The processors and the memory of each VM.
    pub size: NodeSize,
}

/// Reads `engine`.
pub(super) fn family(fields: &mut Fields<'_>) -> EngineFamily {
    fields.take("engine", |value| text(value).parse()).unwrap_or_default()
}

/// Reads the section `vagrant`. The size is checked with any engine.
pub(super) fn vagrant(mut fields: Fields<'_>) -> Vagrant {
    let provider = fields.take("provider", |value| {
        let known = || Provider::ALL.map(Provider::as_str).join(", ");
        text(value).parse().map_err(|_| format!("is unknown; known: {}", known()))
    });
    let (usual, least) = (NodeSize::default(), NodeSize::LEAST);
    let cpus = fields.take("cpus", |value| at_least(value, least.cpus));
    let memory = |value: &Value| at_least(value, least.memory_mib);
    // The name of earlier versions, also in MiB, comes second.
    let memory_mib = fields.take("memoryMiB", memory).or_else(|| fields.take("memoryMb", memory));
    fields.end();
    let size =
        NodeSize { cpus: cpus.unwrap_or(usual.cpus), memory_mib: memory_mib.unwrap_or(usual.memory_mib) };
    Vagrant { provider, size }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn at_least<T: TryFrom<u64> + PartialOrd + fmt::Display>(value: &Value, least: T) -> Result<T, String> {
    let number = value.as_u64().ok_or_else(|| format!("is not a number of at least {least}"))?;
    match T::try_from(number) {
        Err(_) => Err("is too large".to_owned()),
        Ok(number) if number < least => Err(format!("is too small; kubeadm needs at least {least}")),
        Ok(number) => Ok(number),
    }
}
