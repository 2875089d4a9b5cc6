//! Errors with their causes and their hints. The errors themselves are in the modules that return them.

use std::error::Error;
use std::fmt;

/// An error with a hint: a command to type or a thing to change. The CLI and fixtures print the hint below the error.
///
/// An implementation matches every variant of its error, so that the compiler asks for the hint of a new variant. A
/// variant that wraps another error returns the hint of that error.
pub trait Hint: Error {
    /// A command or an action, for instance `` `homelab start acme` starts it ``; `None` when the message says it all.
    fn hint(&self) -> Option<String>;
}

impl<E: Hint> Hint for Box<E> {
    fn hint(&self) -> Option<String> {
        (**self).hint()
    }
}

/// A requirement that this host does not meet, and its remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingRequirement {
    /// The missing requirement: `podman`, `root`, `fs.inotify.max_user_instances is 128, 135 are needed`.
    pub what: String,
    /// A command or an action that meets it: `apt-get install podman`.
    pub remedy: String,
}

impl fmt::Display for MissingRequirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.remedy)
    }
}

/// An error with all its causes on one line, `start node acme-cp-1: podman run …: exit status: 125`.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text.push_str(&format!(": {source}"));
        next = source.source();
    }
    text
}
