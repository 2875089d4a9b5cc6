//! What was done to open a leak, each deed with its way back.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use camino::Utf8Path;
use provisioner::exec::{Command, Runner};

use super::{Ground, InjectError};
use crate::cluster::TestNode;
use crate::undo::{Left, Undos};

/// How long a command of an injection may take.
const WITHIN: Duration = Duration::from_secs(20);

/// Deeds on the host and on nodes.
#[derive(Debug)]
pub(super) struct Deeds {
    host: Arc<dyn Runner>,
    pub(super) undos: Undos,
}

/// A command of an injection.
pub(super) fn command(program: &str, words: &[&str]) -> Command {
    Command::within(WITHIN, program).args(words.iter().copied())
}

impl Deeds {
    pub(super) fn on(ground: &Ground<'_>) -> Self {
        Self { host: Arc::clone(ground.provisioner.runner()), undos: Undos::default() }
    }

    /// What runs commands on the host.
    pub(super) fn host(&self) -> Arc<dyn Runner> {
        Arc::clone(&self.host)
    }

    pub(super) async fn undo(self) -> Result<(), Left> {
        self.undos.close().await
    }

    /// Runs a command on the host that needs no way back, and returns what it says.
    pub(super) async fn ask(&self, command: &Command) -> Result<String, InjectError> {
        Ok(self.host.run(command).await?.text())
    }

    /// Runs a command on the host, whose way back is another one. The latter runs whether or not the former succeeded.
    pub(super) async fn on_host(&mut self, there: &Command, back: Command) -> Result<(), InjectError> {
        let host = Arc::clone(&self.host);
        self.undos.push(back.to_string(), move || {
            let (host, back) = (Arc::clone(&host), back.clone());
            async move { host.run(&back).await.map(drop) }
        });
        self.host.run(there).await?;
        Ok(())
    }

    /// Runs a command on a node, whose way back is another one.
    pub(super) async fn on_node(
        &mut self,
        node: &TestNode,
        there: &Command,
        back: Command,
    ) -> Result<(), InjectError> {
        let place = node.clone();
        self.undos.push(format!("{back} on {}", node.real_name()), move || {
            let (place, back) = (place.clone(), back.clone());
            async move { place.run(&back).await.map(drop) }
        });
        node.run(there).await?;
        Ok(())
    }

    /// Changes a file of a node in its place: whoever has it mounted or watches it sees the change.
    pub(super) async fn edit_on(
        &mut self,
        node: &TestNode,
        path: &str,
        change: impl FnOnce(&str) -> String,
    ) -> Result<(), InjectError> {
        let before = node.read(path).await?;
        let after = change(&before);
        let write = |text: String| command("sh", &["-c", "cat > \"$0\"", path]).input(text);
        self.on_node(node, &write(after), write(before)).await
    }

    /// Changes a file of the host.
    pub(super) fn edit(
        &mut self,
        path: &Utf8Path,
        change: impl FnOnce(&str) -> String,
    ) -> Result<(), InjectError> {
        let failed = |source| InjectError::File { path: path.to_string(), source };
        let before = fs::read_to_string(path).map_err(failed)?;
        let after = change(&before);
        let target = path.to_owned();
        self.undos.push(format!("write {path} back"), move || {
            let written = fs::write(&target, &before);
            async move { written }
        });
        fs::write(path, after).map_err(failed)
    }

    /// Makes a file of the host by some work that is handed its path.
    pub(super) fn make(
        &mut self,
        path: &Utf8Path,
        make: impl FnOnce(&Path) -> io::Result<()>,
    ) -> Result<(), InjectError> {
        let target = path.to_owned();
        self.undos.push(format!("remove {path}"), move || {
            let removed = match fs::remove_file(&target) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            };
            async move { removed }
        });
        make(path.as_std_path()).map_err(|source| InjectError::File { path: path.to_string(), source })
    }

    /// Sets a kernel setting of the host: `net/ipv4/conf/hl-0a/forwarding`.
    pub(super) fn set(&mut self, key: &str, value: &str) -> Result<(), InjectError> {
        let path = format!("/proc/sys/{key}");
        self.edit(Utf8Path::new(&path), |_| value.to_owned())
    }
}
