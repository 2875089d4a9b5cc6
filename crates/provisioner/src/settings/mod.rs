//! The user's settings: reads `~/.homelab/config.yaml` once and reports all its problems at once.
//!
//! A missing file or key means the default. An unknown key is refused, because a typing error must not silently mean
//! the default. This module reads no other source and writes nothing. Next in the flow: `plan` allocates networks from
//! the pools.

mod audit;
mod dns;
mod engine;
mod fields;
mod pools;

use camino::Utf8PathBuf;
use serde_json::Value;

use crate::dns::Dns;
use crate::error::Hint;
use crate::files::{self, FileError};
use crate::home::Home;
use crate::plan::Pools;

use fields::Fields;

pub use audit::Audit;
pub use engine::{EngineFamily, Vagrant};
pub use fields::SettingsProblem;

/// All settings, checked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// The ranges from which new instances get their networks.
    pub pools: Pools,
    /// How names of instances are recorded on this host.
    pub dns: Dns,
    /// The engine of new instances, without the provider.
    pub engine: EngineFamily,
    /// Provider and size of VMs.
    pub vagrant: Vagrant,
    /// What the operator accepts in every audit.
    pub audit: Audit,
}

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// It is not YAML.
    #[error("{path} is not YAML")]
    Unparsable {
        /// The settings' file.
        path: Utf8PathBuf,
        /// The parser's error, with line and column.
        #[source]
        source: Box<serde_saphyr::Error>,
    },
    /// It is YAML, but has unknown keys or values that are not allowed.
    #[error("{path} cannot be used:{}", listed(.problems))]
    Problems {
        /// The settings' file.
        path: Utf8PathBuf,
        /// All problems, in the order of the documentation.
        problems: Vec<SettingsProblem>,
    },
}

impl Hint for SettingsError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::File(error) => error.hint(),
            Self::Unparsable { path, .. } | Self::Problems { path, .. } => Some(format!(
                "correct {path}, or move it away to use the defaults; docs/settings.md has all keys"
            )),
        }
    }
}

fn listed(problems: &[SettingsProblem]) -> String {
    problems.iter().map(|problem| format!("\n{problem}")).collect()
}

impl Settings {
    /// The settings of a home, or the defaults when it has none.
    ///
    /// # Errors
    /// [`SettingsError`] when the file cannot be read or has problems.
    pub fn of(home: &Home) -> Result<Self, SettingsError> {
        let path = home.settings();
        let Some(text) = files::read_text(&path)? else { return Ok(Self::default()) };
        let parsed: Value = match serde_saphyr::from_str(&text) {
            Ok(parsed) => parsed,
            Err(error) => return Err(SettingsError::Unparsable { path, source: Box::new(error) }),
        };
        Self::from_value(parsed).map_err(|problems| SettingsError::Problems { path, problems })
    }

    /// The settings in a parsed file, or all its problems. Pure.
    fn from_value(value: Value) -> Result<Self, Vec<SettingsProblem>> {
        let mut problems = Vec::new();
        let mut fields = Fields::of(String::new(), Some(value), &mut problems);
        let pools = pools::read(fields.section("pools"));
        let dns = dns::read(fields.section("dns"));
        let engine = engine::family(&mut fields);
        let vagrant = engine::vagrant(fields.section("vagrant"));
        let audit = audit::read(fields.section("audit"));
        fields.end();
        match pools {
            Some(pools) if problems.is_empty() => Ok(Self { pools, dns, engine, vagrant, audit }),
            _ => Err(problems),
        }
    }
}
