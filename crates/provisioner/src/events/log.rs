//! `events.jsonl`: one event for each line, appended and never changed.
//!
//! A writer holds the kernel's lock on the file, writes its line with one call and waits for the disk, so lines of
//! several processes never mix. A crash can leave the last line incomplete: the next writer ends it with a line
//! break, and readers report it and continue. Readers take no lock.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};

use camino::Utf8PathBuf;

use crate::error::Hint;
use crate::files::{self, FileError, failed};
use crate::home::Home;

use super::Record;

/// The event log of one home. Keeps no file open and can be cloned.
#[derive(Debug, Clone)]
pub struct EventLog {
    home: Home,
    path: Utf8PathBuf,
}

/// Why events cannot be written or read.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct EventLogError(#[from] pub FileError);

impl Hint for EventLogError {
    fn hint(&self) -> Option<String> {
        self.0.hint()
    }
}

/// A line of the log.
#[derive(Debug, Clone, PartialEq)]
pub enum Line {
    /// An event.
    Record(Box<Record>),
    /// A line that is no event: incomplete after a crash, or not written by homelab.
    Damaged {
        /// The line's number, from 1.
        number: u64,
        /// The parser's error.
        error: String,
    },
}

/// The lines since the last call of [`Reader::more`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Batch {
    /// The lines that end with a line break.
    pub lines: Vec<Line>,
    /// The number of a last line without a line break: it is being written, or incomplete after a crash.
    pub unfinished: Option<u64>,
}

impl EventLog {
    /// The log of a home. Reads and makes nothing yet.
    pub fn in_home(home: &Home) -> Self {
        Self { path: home.events(), home: home.clone() }
    }

    /// Appends an event. It is on disk when this returns.
    ///
    /// # Errors
    /// When the file cannot be written. The file is not changed then.
    pub(super) fn append(&self, record: &Record) -> Result<(), EventLogError> {
        let mut line = serde_json::to_vec(record).expect("keys of a record are strings");
        line.push(b'\n');
        // Opening a file that is not regular, such as a pipe or a device, may block or have effects.
        files::regular(&self.path).map_err(|error| FileError { attempt: "open", ..error })?;
        let mut file = self.open().map_err(failed("open", &self.path))?;
        file.lock().map_err(failed("lock", &self.path))?;
        Ok(append(&mut file, line).map_err(failed("append to", &self.path))?)
    }

    /// A reader that begins with the first event of the log.
    pub fn reader(&self) -> Reader {
        Reader { path: self.path.clone(), offset: 0, number: 0 }
    }

    fn open(&self) -> io::Result<File> {
        let open = |options: &mut OpenOptions| options.read(true).append(true).mode(0o600).open(&self.path);
        match open(&mut OpenOptions::new()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            opened => return opened,
        }
        self.home.create_dir(self.home.root())?;
        let file = open(OpenOptions::new().create(true))?;
        self.home.adopt(&self.path)?;
        File::open(self.home.root())?.sync_all()?;
        Ok(file)
    }
}

/// Appends a line. The caller holds the lock. After an error the file is as before.
fn append(file: &mut File, mut line: Vec<u8>) -> io::Result<()> {
    let end = file.seek(SeekFrom::End(0))?;
    let mut last = [b'\n'];
    if end > 0 {
        file.read_exact_at(&mut last, end - 1)?;
    }
    if last != [b'\n'] {
        line.insert(0, b'\n'); // ends a line that is incomplete after a crash
    }
    let written = file.write_all(&line).and_then(|()| file.sync_data());
    if written.is_err() {
        let _ = file.set_len(end); // remove the part of the line that was written, for example on a full disk
    }
    written
}

/// Reads a log. Each call continues after the lines of the last one.
#[derive(Debug)]
pub struct Reader {
    path: Utf8PathBuf,
    offset: u64,
    number: u64,
}

impl Reader {
    /// The lines since the last call. A log that does not exist is empty. A log that is shorter than before has been
    /// replaced, and is read from its beginning.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn more(&mut self) -> Result<Batch, EventLogError> {
        let Some(mut file) = files::open(&self.path)? else { return Ok(Batch::default()) };
        let mut bytes = Vec::new();
        let read = file.metadata().and_then(|metadata| {
            if metadata.len() < self.offset {
                (self.offset, self.number) = (0, 0);
            }
            file.seek(SeekFrom::Start(self.offset))?;
            file.read_to_end(&mut bytes)
        });
        read.map_err(failed("read", &self.path))?;
        Ok(self.understand(&bytes))
    }

    fn understand(&mut self, bytes: &[u8]) -> Batch {
        let mut batch = Batch::default();
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            if !line.ends_with(b"\n") {
                batch.unfinished = Some(self.number + 1);
                break;
            }
            self.offset += line.len() as u64;
            self.number += 1;
            batch.lines.push(match serde_json::from_slice(line) {
                Ok(record) => Line::Record(Box::new(record)),
                Err(error) => Line::Damaged { number: self.number, error: error.to_string() },
            });
        }
        batch
    }
}
