//! What a user has set: `~/.homelab/config.yaml`, read once, every problem reported at once.
//!
//! A file that is not there means the defaults, and so does every key that is left out. A key that nobody knows
//! is refused, because a typing error must not silently mean the default. Nothing is read from elsewhere and
//! nothing is ever written here. Next in the flow: `plan` draws from the pools.

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

pub use engine::{EngineFamily, Vagrant};
pub use fields::Problem;

/// Everything that can be set, checked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// Where new instances get their networks.
    pub pools: Pools,
    /// Where names of instances are recorded on this host.
    pub dns: Dns,
    /// What makes nodes.
    pub engine: EngineFamily,
    /// What they are like where Vagrant makes them.
    pub vagrant: Vagrant,
}

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// It is no YAML.
    #[error("{path} is no YAML")]
    Unparsable {
        /// The settings' file.
        path: Utf8PathBuf,
        /// Where it stops to make sense.
        #[source]
        source: Box<serde_saphyr::Error>,
    },
    /// It is YAML, but says what cannot be.
    #[error("{path} cannot be used:{}", listed(.problems))]
    Problems {
        /// The settings' file.
        path: Utf8PathBuf,
        /// All of them, in the order of the documentation.
        problems: Vec<Problem>,
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

fn listed(problems: &[Problem]) -> String {
    problems.iter().map(|problem| format!("\n{problem}")).collect()
}

impl Settings {
    /// The settings of a home, or the defaults when it has none.
    ///
    /// # Errors
    /// [`SettingsError`] when the file cannot be read or says what cannot be.
    pub fn of(home: &Home) -> Result<Self, SettingsError> {
        let path = home.settings();
        let Some(text) = files::read_text(&path)? else { return Ok(Self::default()) };
        let parsed: Value = match serde_saphyr::from_str(&text) {
            Ok(parsed) => parsed,
            Err(error) => return Err(SettingsError::Unparsable { path, source: Box::new(error) }),
        };
        Self::from_value(parsed).map_err(|problems| SettingsError::Problems { path, problems })
    }

    /// Pure: the settings that a parsed file stands for, or all its problems.
    fn from_value(value: Value) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let mut fields = Fields::of(String::new(), Some(value), &mut problems);
        let pools = pools::read(fields.section("pools"));
        let dns = dns::read(fields.section("dns"));
        let engine = engine::family(&mut fields);
        let vagrant = engine::vagrant(fields.section("vagrant"));
        fields.end();
        match pools {
            Some(pools) if problems.is_empty() => Ok(Self { pools, dns, engine, vagrant }),
            _ => Err(problems),
        }
    }
}
