//! The log of one fixture, kept in memory until the evidence of a failure is written.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use tracing::Dispatch;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// The log of one fixture. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Journal(Arc<Mutex<Vec<u8>>>);

impl Journal {
    /// The tracing dispatcher for the fixture's work: the process's own where the test has installed a subscriber, or
    /// else this journal. A library must not install a subscriber for the process.
    pub(crate) fn listener(&self) -> Dispatch {
        if tracing::dispatcher::has_been_set() {
            return tracing::dispatcher::get_default(Clone::clone);
        }
        let ours = EnvFilter::new("provisioner=debug,harness=debug");
        let subscriber =
            tracing_subscriber::fmt().with_env_filter(ours).with_ansi(false).with_writer(self.clone());
        Dispatch::new(subscriber.finish())
    }

    /// The log up to now.
    pub(crate) fn contents(&self) -> Vec<u8> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Write for Journal {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Journal {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}
