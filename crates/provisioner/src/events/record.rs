//! An event as it is kept: with its time, who caused it and how it ended.

use std::sync::LazyLock;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Event;

/// The format that this version writes.
const VERSION: u32 = 1;

/// A line of `events.jsonl`. What an event says beyond this, and what newer versions add, is in `details`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Record {
    /// The format of the line.
    pub version: u32,
    /// When it happened, in UTC (RFC 3339).
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub at: Timestamp,
    /// Its name, `ClusterUp`.
    pub event: String,
    /// The instances of this home that it is about.
    pub instances: Vec<String>,
    /// How it ended.
    pub outcome: Outcome,
    /// Who caused it.
    pub actor: Actor,
    /// What else the event says, by field.
    #[serde(flatten)]
    pub details: Map<String, Value>,
}

/// How an event ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It goes on; another event tells its end.
    Begun,
    /// As wanted.
    Ok,
    /// Not as wanted; `error` says why.
    Failed,
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Begun => "begun",
            Self::Ok => "ok",
            Self::Failed => "failed",
        })
    }
}

/// The process that caused an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Actor {
    /// The user; under sudo, the one who called it.
    pub user: String,
    /// Its process id.
    pub pid: u32,
    /// Its command line. No command of ours takes a secret there.
    pub command: String,
}

impl Actor {
    /// This process. It is asked once: neither its user nor its command line changes.
    fn current() -> &'static Self {
        static CURRENT: LazyLock<Actor> = LazyLock::new(|| Actor {
            user: user(),
            pid: std::process::id(),
            command: std::env::args_os()
                .map(|word| word.to_string_lossy().into_owned())
                .collect::<Vec<_>>()
                .join(" "),
        });
        &CURRENT
    }
}

fn user() -> String {
    let uid = nix::unistd::getuid();
    match std::env::var("SUDO_USER") {
        Ok(user) if uid.is_root() && !user.is_empty() => user,
        _ => match nix::unistd::User::from_uid(uid) {
            Ok(Some(user)) => user.name,
            _ => uid.to_string(),
        },
    }
}

impl Record {
    /// The record of an event that this process caused; none for what changes no state.
    pub(super) fn of(event: &Event, at: Timestamp) -> Option<Self> {
        let instances = event.instances()?;
        let Ok(Value::Object(mut details)) = serde_json::to_value(event) else {
            return None; // an event is an object
        };
        let name =
            details.remove("event").and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default();
        details.remove("instance");
        details.remove("instances");
        details.retain(|_, value| !value.is_null());
        let actor = Actor::current().clone();
        Some(Self { version: VERSION, at, event: name, instances, outcome: event.outcome(), actor, details })
    }

    /// Whether it is about this instance.
    pub fn is_about(&self, instance: &str) -> bool {
        self.instances.iter().any(|name| name == instance)
    }
}
