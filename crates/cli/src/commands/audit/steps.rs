//! How far an audit is: a spinner on a terminal, lines on a pipe.

use harness::audit::{Progress, Step};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinHandle;

use crate::printer::{Mark, Printer};

/// Shows steps until nobody tells any more.
#[derive(Debug)]
pub(super) struct Steps(JoinHandle<()>);

impl Steps {
    /// Shows a text, and then every step that the other half is told.
    pub(super) fn shown(printer: &Printer, text: String) -> (Progress, Self) {
        let (to, steps) = unbounded_channel();
        (Progress::to(to), Self(tokio::spawn(show(printer.clone(), text, steps))))
    }

    /// Waits until the last step is shown; [`Progress`] must be gone.
    pub(super) async fn finish(self) {
        let _ = self.0.await; // a spinner that panicked is no reason to fail
    }
}

async fn show(printer: Printer, text: String, mut steps: UnboundedReceiver<Step>) {
    let spinner = printer.spinner(text.clone());
    let say = |text: String| match &spinner {
        Some(spinner) => spinner.set_message(text),
        None => printer.line(Mark::Busy, &text),
    };
    if spinner.is_none() {
        printer.line(Mark::Busy, &text);
    }
    while let Some(step) = steps.recv().await {
        say(step.to_string());
    }
    if let Some(spinner) = spinner {
        spinner.finish_and_clear();
    }
}
