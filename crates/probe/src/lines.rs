//! Writes standard output as lines of JSON, on a separate thread.
//!
//! A slow reader must not delay deadlines or captures. A reader that has gone is noticed even if there is nothing to
//! write: a prober or witness whose `exec` connection was cut must end.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use rustix::event::{PollFd, PollFlags, poll};
use serde::Serialize;
use tokio::sync::mpsc;

/// Sender of lines to the writing thread.
#[derive(Debug, Clone)]
pub(crate) struct Lines(SyncSender<Vec<u8>>);

/// Why standard output ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// All lines are written, and the last [`Lines`] was dropped.
    Written,
    /// The reader closed its end.
    Closed,
}

/// Receives why standard output ended. Only the first message counts.
#[derive(Debug)]
pub(crate) struct Ended(mpsc::UnboundedReceiver<End>);

impl Ended {
    /// Waits until standard output ends.
    pub(crate) async fn wait(&mut self) -> End {
        self.0.recv().await.unwrap_or(End::Closed)
    }
}

impl Lines {
    /// Starts the writing thread. At most `capacity` lines wait for the reader.
    pub(crate) fn start(capacity: usize) -> io::Result<(Self, Ended)> {
        let (sender, receiver) = sync_channel(capacity);
        let (tell, ended) = mpsc::unbounded_channel();
        let told = tell.clone();
        thread::Builder::new().name("lines".to_owned()).spawn(move || {
            let end = if write_all(&receiver).is_ok() { End::Written } else { End::Closed };
            // The receiver may be dropped already.
            let _ = told.send(end);
        })?;
        thread::Builder::new().name("reader".to_owned()).spawn(move || {
            wait_for_hang_up();
            let _ = tell.send(End::Closed);
        })?;
        Ok((Self(sender), Ended(ended)))
    }

    /// Sends the lines to a test instead of standard output.
    #[cfg(test)]
    pub(crate) fn to_test(capacity: usize) -> (Self, Receiver<Vec<u8>>) {
        let (sender, receiver) = sync_channel(capacity);
        (Self(sender), receiver)
    }

    /// Queues a line. Returns false if the queue is full, or the writing thread has ended.
    pub(crate) fn say(&self, line: &impl Serialize) -> bool {
        let Ok(mut text) = serde_json::to_vec(line) else { return false };
        text.push(b'\n');
        self.0.try_send(text).is_ok()
    }
}

/// Writes lines until the last sender is dropped. Rust's standard output flushes at each line feed.
fn write_all(lines: &Receiver<Vec<u8>>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    while let Ok(line) = lines.recv() {
        out.write_all(&line)?;
    }
    out.flush()
}

/// Waits until the reader of standard output closes its end. A pipe then reports POLLERR, a socket POLLHUP (poll(2)),
/// without being asked for these events. A file never reports either.
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
