//! The context of every verb: the provisioner with its home, and the printer.

use provisioner::Provisioner;
use provisioner::home::Home;
use provisioner::registry::{Entry, Instance, RegistryError};

use crate::exit::{CliError, Refusal};
use crate::printer::Printer;
use crate::sudo;

/// The context that every verb gets.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) provisioner: Provisioner,
    pub(crate) printer: Printer,
}

impl App {
    /// Reads the environment and the settings. Starts no process.
    pub(crate) fn new(printer: Printer) -> Result<Self, CliError> {
        let home = Home::from_env()?;
        Ok(Self { provisioner: Provisioner::new(home)?, printer })
    }

    pub(crate) fn home(&self) -> &Home {
        self.provisioner.home()
    }

    /// Fails unless this process is root. The hint is the same command line through sudo.
    pub(crate) fn must_be_root(&self) -> Result<(), CliError> {
        if rustix::process::geteuid().is_root() {
            return Ok(());
        }
        Err(Refusal::NotRoot { command: sudo::command_from_env() }.into())
    }

    /// The instance of this name, or [`Refusal::Unknown`].
    pub(crate) fn find(&self, name: &str) -> Result<Instance, CliError> {
        match self.provisioner.registry().find(name)? {
            Some(instance) => Ok(instance),
            None => Err(self.unknown(name)),
        }
    }

    /// The names of all instances. A broken entry without a legible name is left out.
    pub(crate) fn names(&self) -> Result<Vec<String>, RegistryError> {
        let entries = self.provisioner.registry().list()?;
        Ok(entries.iter().filter_map(Entry::name).map(str::to_owned).collect())
    }

    /// The error for a name that no instance has. It lists the existing names.
    pub(crate) fn unknown(&self, name: &str) -> CliError {
        Refusal::Unknown { name: name.to_owned(), known: self.names().unwrap_or_default() }.into()
    }
}
