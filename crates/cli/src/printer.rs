//! All output of the program: results go to stdout; progress, warnings, hints and errors go to stderr. No other module
//! writes, except that `main` lets clap print usage errors.
//!
//! Colours depend on the terminal and on `NO_COLOR`. A terminal shows spinners below the lines; a pipe gets only the
//! lines.
//!
//! The first write error on stdout is kept until `main` asks for it with [`Printer::unwritten`]. So no verb has to
//! check its writes, and no verb ends with success after a full disk has lost its result.

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

/// The mark at the beginning of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    /// `✓`: done.
    Good,
    /// `✗`: failed, or a warning.
    Bad,
    /// `·`: in progress.
    Busy,
}

/// Writes all output. Clones share the streams, the spinners and the kept error.
#[derive(Debug, Clone)]
pub(crate) struct Printer {
    spinners: MultiProgress,
    terminal: bool,
    /// The first write error on stdout. While it is kept, nothing more is written to stdout.
    failure: Arc<Mutex<Option<io::Error>>>,
}

impl Printer {
    /// A printer for this process's stdout and stderr.
    pub(crate) fn new() -> Self {
        let terminal = std::io::stderr().is_terminal();
        let target = if terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        Self { spinners: MultiProgress::with_draw_target(target), terminal, failure: Arc::default() }
    }

    /// Writes a result to stdout. The text has its own final line break.
    pub(crate) fn result(&self, text: &str) {
        self.goes_on(text);
    }

    /// Writes a part of a result to stdout. Returns whether the next part can be written, for results without an end.
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

    /// Takes the kept write error of stdout, if there is one. A reader that closes the pipe early (`| head`) is no
    /// error.
    pub(crate) fn unwritten(&self) -> Option<io::Error> {
        let failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner).take();
        failure.filter(|error| error.kind() != ErrorKind::BrokenPipe)
    }

    /// Stdout for a binary result; `None` if stdout is a terminal.
    pub(crate) fn bytes(&self) -> Option<std::io::Stdout> {
        let stdout = std::io::stdout();
        (!stdout.is_terminal()).then_some(stdout)
    }

    /// Writes a success to stdout as a result, with the mark `✓`.
    pub(crate) fn done(&self, text: &str) {
        self.result(&format!("{GOOD}✓{GOOD:#} {text}\n"));
    }

    /// Writes a line of progress, or a warning, to stderr.
    pub(crate) fn line(&self, mark: Mark, text: &str) {
        let mark = match mark {
            Mark::Good => format!("{GOOD}✓{GOOD:#}"),
            Mark::Bad => format!("{BAD}✗{BAD:#}"),
            Mark::Busy => format!("{DIM}·{DIM:#}"),
        };
        self.to_stderr(&format!("{mark} {text}\n"));
    }

    /// Writes a hint to stderr: what to type next.
    pub(crate) fn hint(&self, text: &str) {
        self.to_stderr(&format!("{HINT}hint:{HINT:#} {text}\n"));
    }

    /// Writes an error with its causes, and its hint, to stderr.
    pub(crate) fn error(&self, error: &dyn Error, hint: Option<String>) {
        self.to_stderr(&format!("{BAD}error:{BAD:#} {}\n", told(&messages(error))));
        if let Some(hint) = hint {
            self.hint(&hint);
        }
    }

    /// Whether a user can be asked: stderr and stdin are terminals.
    pub(crate) fn can_ask(&self) -> bool {
        self.terminal && io::stdin().is_terminal()
    }

    /// Asks a question on stderr and reads the answer from stdin. Every answer but `y` and `yes` is a no, and so is the
    /// end of the input.
    pub(crate) fn confirms(&self, question: &str) -> bool {
        self.to_stderr(question);
        let mut answer = String::new();
        io::stdin().read_line(&mut answer).is_ok() && is_yes(&answer)
    }

    /// A spinner with this text; `None` if stderr is no terminal.
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

/// The message of an error, followed by those of its causes.
pub(crate) fn messages(error: &dyn Error) -> Vec<String> {
    let mut messages = vec![error.to_string()];
    let mut next = error.source();
    while let Some(source) = next {
        messages.push(source.to_string());
        next = source.source();
    }
    messages
}

/// The messages of an error as people read them: the attempt, then each cause on its own line. A transparent error
/// repeats the message of its source; the repetition is left out.
pub(crate) fn told(messages: &[String]) -> String {
    let mut lines: Vec<&str> = messages.iter().map(String::as_str).collect();
    lines.dedup();
    let indented = lines.iter().map(|line| line.replace('\n', "\n    "));
    indented.collect::<Vec<_>>().join("\n  because: ")
}

/// A view as JSON for programs, indented, with a final line break.
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
