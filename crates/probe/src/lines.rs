//! Standard output as lines of JSON, written by a thread of its own.
//!
//! A reader that is slow must not hold up deadlines or captures, and one that is gone is noticed even when there is
//! nothing to write: a prober or witness whose `exec` was cut must not live on.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use rustix::event::{PollFd, PollFlags, poll};
use serde::Serialize;
use tokio::sync::mpsc;

/// Where lines go.
#[derive(Debug, Clone)]
pub(crate) struct Lines(SyncSender<Vec<u8>>);

/// How standard output came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Every line is written, and no [`Lines`] is left.
    Written,
    /// Nobody reads any more.
    Closed,
}

/// Tells the end; the first that is told counts.
#[derive(Debug)]
pub(crate) struct Ended(mpsc::UnboundedReceiver<End>);

impl Ended {
    /// Waits for the end.
    pub(crate) async fn wait(&mut self) -> End {
        self.0.recv().await.unwrap_or(End::Closed)
    }
}

impl Lines {
    /// Starts writing; at most `capacity` lines wait for the reader.
    pub(crate) fn start(capacity: usize) -> io::Result<(Self, Ended)> {
        let (sender, receiver) = sync_channel(capacity);
        let (tell, ended) = mpsc::unbounded_channel();
        let told = tell.clone();
        thread::Builder::new().name("lines".to_owned()).spawn(move || {
            let end = if write_all(&receiver).is_ok() { End::Written } else { End::Closed };
            // Nobody may be waiting for it any more.
            let _ = told.send(end);
        })?;
        thread::Builder::new().name("reader".to_owned()).spawn(move || {
            wait_for_hang_up();
            let _ = tell.send(End::Closed);
        })?;
        Ok((Self(sender), Ended(ended)))
    }

    /// Lines that a test reads itself.
    #[cfg(test)]
    pub(crate) fn to_test(capacity: usize) -> (Self, Receiver<Vec<u8>>) {
        let (sender, receiver) = sync_channel(capacity);
        (Self(sender), receiver)
    }

    /// Hands a line over; says whether there was room for it.
    pub(crate) fn say(&self, line: &impl Serialize) -> bool {
        let Ok(mut text) = serde_json::to_vec(line) else { return false };
        text.push(b'\n');
        self.0.try_send(text).is_ok()
    }
}

/// Rust's standard output flushes at each line feed.
fn write_all(lines: &Receiver<Vec<u8>>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    while let Ok(line) = lines.recv() {
        out.write_all(&line)?;
    }
    out.flush()
}

/// A pipe whose reader is gone raises POLLERR, a socket POLLHUP (poll(2)); neither has to be asked for. A file never
/// does.
fn wait_for_hang_up() {
    let stdout = io::stdout();
    loop {
        let mut asked = [PollFd::new(&stdout, PollFlags::empty())];
        match poll(&mut asked, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => return,
        }
        if asked[0].revents().intersects(PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL) {
            return;
        }
    }
}
