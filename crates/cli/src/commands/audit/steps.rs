//! AuditProgress of an audit: a spinner on a terminal, lines on a pipe.

use harness::audit::{AuditProgress, Step};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinHandle;

use crate::printer::{Mark, Printer};

/// Shows the steps of an audit until its [`AuditProgress`] is dropped.
#[derive(Debug)]
pub(super) struct Steps(JoinHandle<()>);

impl Steps {
    /// Shows a text, and then every step that is sent to the returned [`AuditProgress`].
    pub(super) fn shown(printer: &Printer, text: String) -> (AuditProgress, Self) {
        let (to, steps) = unbounded_channel();
        (AuditProgress::to(to), Self(tokio::spawn(show(printer.clone(), text, steps))))
    }

    /// Waits until the last step is shown. The [`AuditProgress`] must be dropped before.
    pub(super) async fn finish(self) {
        let _ = self.0.await; // a spinner that panicked is no reason to fail
    }
}

async fn show(printer: Printer, text: String, mut steps: UnboundedReceiver<Step>) {
    let spinner = printer.spinner(text.clone());
    let say = |step: Step| match &spinner {
        Some(spinner) if !matches!(step, Step::Tested { .. } | Step::Judged { .. }) => {
            spinner.set_message(step.to_string())
        }
        _ => printer.line(Mark::Busy, &step.to_string()),
    };
    if spinner.is_none() {
        printer.line(Mark::Busy, &text);
    }
    while let Some(step) = steps.recv().await {
        say(step);
    }
    if let Some(spinner) = spinner {
        spinner.finish_and_clear();
    }
}
