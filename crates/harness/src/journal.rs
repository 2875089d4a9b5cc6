//! The commands and events of a fixture, kept in memory until somebody needs them.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use tracing::Dispatch;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// A log of one fixture's own, written to its evidence when it fails.
#[derive(Debug, Clone, Default)]
pub(crate) struct Journal(Arc<Mutex<Vec<u8>>>);

impl Journal {
    /// What listens while the fixture works: whoever has installed a subscriber for the process, or else this
    /// journal. A library must not install one for the process itself.
    pub(crate) fn listener(&self) -> Dispatch {
        if tracing::dispatcher::has_been_set() {
            return tracing::dispatcher::get_default(Clone::clone);
        }
        let ours = EnvFilter::new("provisioner=debug,harness=debug");
        let subscriber =
            tracing_subscriber::fmt().with_env_filter(ours).with_ansi(false).with_writer(self.clone());
        Dispatch::new(subscriber.finish())
    }

    /// Everything so far.
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
