//! How an error is told: with all its causes, and with what to type next.

use std::error::Error;

/// An error that says what to type or to change next: the one contract for hints, printed by the CLI and by fixtures.
///
/// An implementation names every variant of its error, so that the compiler asks for the hint of a new one; a variant
/// that wraps another error hands on that error's hint.
pub trait Hint: Error {
    /// What to type or to change next, for instance `` `homelab start acme` starts it ``; `None` when there is nothing
    /// more to say than the message.
    fn hint(&self) -> Option<String>;
}

impl<E: Hint> Hint for Box<E> {
    fn hint(&self) -> Option<String> {
        (**self).hint()
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
