//! An event as it is written to the log: with its time, the process that caused it, and its outcome.

use std::sync::LazyLock;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Event;

/// The version of the format that this program writes.
const VERSION: u32 = 1;

/// A line of `events.jsonl`. `details` has the event's other fields, and fields that newer versions add.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Record {
    /// The version of the line's format.
    pub version: u32,
    /// The time of the event, in UTC (RFC 3339).
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub at: Timestamp,
    /// The name of the event: `ClusterUp`.
    pub event: String,
    /// The instances of this home that the event is about.
    pub instances: Vec<String>,
    /// The outcome of the event.
    pub outcome: EventOutcome,
    /// The process that caused the event.
    pub actor: Actor,
    /// The event's other fields.
    #[serde(flatten)]
    pub details: Map<String, Value>,
}

/// The outcome of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EventOutcome {
    /// The step is in progress; another event reports its end.
    Begun,
    /// The step succeeded.
    Ok,
    /// The step failed; `error` has the reason.
    Failed,
}

impl std::fmt::Display for EventOutcome {
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
    /// The name of the user; with sudo, of the user who called sudo.
    pub user: String,
    /// The process id.
    pub pid: u32,
    /// The command line. No command of homelab takes secrets as arguments.
    pub command: String,
}

impl Actor {
    /// This process. The value is computed once, because neither the user nor the command line changes.
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
    /// The record of an event that this process caused. `None` for events that are not kept.
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

    /// Whether the event is about this instance.
    pub fn is_about(&self, instance: &str) -> bool {
        self.instances.iter().any(|name| name == instance)
    }
}
