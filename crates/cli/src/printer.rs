//! Where output goes: results to stdout, progress and errors to stderr. Nothing else in `homelab` writes.
//!
//! Colours come and go with the terminal and `NO_COLOR`. On a terminal, spinners live below the lines; a pipe
//! gets the lines alone.
//!
//! A result that could not be written is kept until [`Printer::unwritten`] is asked at the end, so that no verb has to
//! look at each line, and none ends with success after a full disk swallowed what it had to say.

use std::error::Error;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();
const HINT: Style = AnsiColor::Cyan.on_default();
const DIM: Style = Style::new().dimmed();

/// What kind of line it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    /// `✓`: done.
    Good,
    /// `✗`: failed.
    Bad,
    /// `·`: on the way.
    Busy,
}

/// The one way out. A clone writes to the same place.
#[derive(Debug, Clone)]
pub(crate) struct Printer {
    spinners: MultiProgress,
    terminal: bool,
    /// Why the first result that could not be written was not. Nothing is written to stdout after it.
    failure: Arc<Mutex<Option<io::Error>>>,
}

impl Printer {
    /// Writes to this process's streams.
    pub(crate) fn new() -> Self {
        let terminal = std::io::stderr().is_terminal();
        let target = if terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        Self { spinners: MultiProgress::with_draw_target(target), terminal, failure: Arc::default() }
    }

    /// A result: text that ends with its own line break.
    pub(crate) fn result(&self, text: &str) {
        self.goes_on(text);
    }

    /// A result that has no end of its own; returns whether the next part can be written.
    pub(crate) fn goes_on(&self, text: &str) -> bool {
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        if failure.is_none() {
            *failure = self.spinners.suspend(|| {
                let mut stdout = anstream::stdout().lock();
                stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).err()
            });
        }
        failure.is_none()
    }

    /// Why a result could not be written, if one could not. A reader that has seen enough (`| head`) is no error.
    pub(crate) fn unwritten(&self) -> Option<io::Error> {
        let failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner).take();
        failure.filter(|error| error.kind() != ErrorKind::BrokenPipe)
    }

    /// Standard output for a result that is no text, unless a person would see it.
    pub(crate) fn bytes(&self) -> Option<std::io::Stdout> {
        let stdout = std::io::stdout();
        (!stdout.is_terminal()).then_some(stdout)
    }

    /// A result that is a success.
    pub(crate) fn done(&self, text: &str) {
        self.result(&format!("{GOOD}✓{GOOD:#} {text}\n"));
    }

    /// A line of progress.
    pub(crate) fn line(&self, mark: Mark, text: &str) {
        let mark = match mark {
            Mark::Good => format!("{GOOD}✓{GOOD:#}"),
            Mark::Bad => format!("{BAD}✗{BAD:#}"),
            Mark::Busy => format!("{DIM}·{DIM:#}"),
        };
        self.to_stderr(&format!("{mark} {text}\n"));
    }

    /// What to type next.
    pub(crate) fn hint(&self, text: &str) {
        self.to_stderr(&format!("{HINT}hint:{HINT:#} {text}\n"));
    }

    /// An error with everything that led to it.
    pub(crate) fn error(&self, error: &dyn Error, hint: Option<String>) {
        self.to_stderr(&format!("{BAD}error:{BAD:#} {}\n", told(&messages(error))));
        if let Some(hint) = hint {
            self.hint(&hint);
        }
    }

    /// Whether somebody sits at a terminal who can be asked.
    pub(crate) fn can_ask(&self) -> bool {
        self.terminal && io::stdin().is_terminal()
    }

    /// Asks for a yes. Everything else is a no, and so is the end of the input.
    pub(crate) fn confirms(&self, question: &str) -> bool {
        self.to_stderr(question);
        let mut answer = String::new();
        io::stdin().read_line(&mut answer).is_ok() && is_yes(&answer)
    }

    /// A spinner while something goes on; on a pipe, nothing.
    pub(crate) fn spinner(&self, text: String) -> Option<ProgressBar> {
        if !self.terminal {
            return None;
        }
        let style = ProgressStyle::with_template("{spinner} {msg} {elapsed}")
            .unwrap_or_else(|_| ProgressStyle::default_spinner());
        let bar = self.spinners.add(ProgressBar::new_spinner().with_style(style).with_message(text));
        bar.enable_steady_tick(Duration::from_millis(120));
        Some(bar)
    }

    fn to_stderr(&self, text: &str) {
        self.spinners.suspend(|| {
            let _ = anstream::stderr().lock().write_all(text.as_bytes());
        });
    }
}

fn is_yes(answer: &str) -> bool {
    ["y", "yes"].contains(&answer.trim().to_lowercase().as_str())
}

/// An error's message and those of its causes.
pub(crate) fn messages(error: &dyn Error) -> Vec<String> {
    let mut messages = vec![error.to_string()];
    let mut next = error.source();
    while let Some(source) = next {
        messages.push(source.to_string());
        next = source.source();
    }
    messages
}

/// The chain as people read it: what was attempted, then why, a line each. A transparent layer repeats its
/// source's message; it is told once.
pub(crate) fn told(messages: &[String]) -> String {
    let mut lines: Vec<&str> = messages.iter().map(String::as_str).collect();
    lines.dedup();
    let indented = lines.iter().map(|line| line.replace('\n', "\n    "));
    indented.collect::<Vec<_>>().join("\n  because: ")
}

/// A view as text for programs.
pub(crate) fn json(view: &impl serde::Serialize) -> String {
    let mut text = serde_json::to_string_pretty(view).expect("keys of a view are strings");
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_yes_is_a_yes() {
        let said = ["y\n", " YES\n", "n\n", "\n", "", "yesterday\n", "acme\n"].map(is_yes);
        assert_eq!(said, [true, true, false, false, false, false, false]);
    }

    #[test]
    fn a_chain_says_what_was_attempted_and_why_it_failed() {
        let chain =
            ["bring up acme: stage init", "start kubelet", "start kubelet", "exit status: 1\n  stderr: no"];
        insta::assert_snapshot!(told(&chain.map(str::to_owned)), @r"
        bring up acme: stage init
          because: start kubelet
          because: exit status: 1
              stderr: no
        ");
    }
}
