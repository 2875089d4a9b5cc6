//! [`Changes`]: the changes of one injection, on the host and on nodes, each with its undo.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use camino::Utf8Path;
use ipnet::Ipv4Net;
use provisioner::exec::{Command, Runner};
use provisioner::fabric::Opening;

use super::{InjectError, Pair};
use crate::cluster::TestNode;
use crate::undo::{Left, Undos};

/// The deadline of a command of an injection. The runner stretches it where nodes are slow.
const WITHIN: Duration = Duration::from_secs(20);

/// The changes of one injection. `Drop` undoes them.
#[derive(Debug)]
pub(super) struct Changes {
    host: Arc<dyn Runner>,
    pub(super) undos: Undos,
    /// The ranges of all pools, from which the host guard is restored.
    pools: Vec<Ipv4Net>,
    /// Held from the first change of the host guard until all changes are undone.
    opening: Option<Opening>,
}

/// A command of an injection.
pub(super) fn command(program: &str, words: &[&str]) -> Command {
    Command::within(WITHIN, program).args(words.iter().copied())
}

impl Changes {
    pub(super) fn on(pair: &Pair<'_>) -> Self {
        Self {
            host: Arc::clone(pair.provisioner.runner()),
            undos: Undos::default(),
            pools: pair.provisioner.settings().pools.ranges().to_vec(),
            opening: None,
        }
    }

    /// The runner of commands on the host.
    pub(super) fn host(&self) -> Arc<dyn Runner> {
        Arc::clone(&self.host)
    }

    /// Undoes all changes.
    ///
    /// # Errors
    /// [`Left`] with the changes that could not be undone.
    pub(super) async fn undo(self) -> Result<(), Left> {
        self.undos.close().await
    }

    /// Declares the host guard open on purpose: until the undo, no other command restores it, and commands that change
    /// it wait. The undo restores the guard as it is built, whatever was changed in the meantime.
    async fn open_guard(&mut self) -> Result<Opening, InjectError> {
        if let Some(opening) = &self.opening {
            return Ok(opening.clone());
        }
        let opening = Opening::begin().await.map_err(InjectError::Guard)?;
        let (held, host, pools) = (opening.clone(), Arc::clone(&self.host), self.pools.clone());
        self.undos.push("restore the host guard", move || {
            let (held, host, pools) = (held.clone(), Arc::clone(&host), pools.clone());
            async move { held.close(&pools, host.as_ref()).await }
        });
        Ok(self.opening.insert(opening).clone())
    }

    /// Changes the host guard with a script for nft.
    pub(super) async fn change_guard(&mut self, rules: &str) -> Result<(), InjectError> {
        let opening = self.open_guard().await?;
        opening.change(rules, self.host.as_ref()).await.map_err(InjectError::Guard)
    }

    /// Sets a kernel setting that belongs to the host guard, such as `ipv4/conf/hl-0a/forwarding`.
    pub(super) async fn set(&mut self, key: &str, value: &str) -> Result<(), InjectError> {
        self.open_guard().await?;
        self.edit(Utf8Path::new(&format!("/proc/sys/net/{key}")), |_| value.to_owned())
    }

    /// Runs a command on the host that needs no undo, and returns its standard output.
    pub(super) async fn ask(&self, command: &Command) -> Result<String, InjectError> {
        Ok(self.host.run(command).await?.text())
    }

    /// Runs the command `there` on the host, with `back` as its undo. The undo runs also when `there` has failed.
    pub(super) async fn on_host(&mut self, there: &Command, back: Command) -> Result<(), InjectError> {
        let host = Arc::clone(&self.host);
        self.undos.push(back.to_string(), move || {
            let (host, back) = (Arc::clone(&host), back.clone());
            async move { host.run(&back).await.map(drop) }
        });
        self.host.run(there).await?;
        Ok(())
    }

    /// Runs the command `there` on a node, with `back` as its undo. The undo runs also when `there` has failed.
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

    /// Changes a file of a node in place, so that mounts of the file and programs that watch it see the change.
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

    /// Starts a process of the host that does not descend from the audit. The undo ends it by its pid, which is in
    /// [`Self::pid_file`].
    pub(super) async fn start(&mut self, name: &str, words: &[&str]) -> Result<(), InjectError> {
        const BEGIN: &str = "pid=$0; setsid --fork sh -c 'echo $$ > \"$0\"; exec \"$@\"' \"$pid\" \"$@\" \
                             < /dev/null > /dev/null 2>&1; until test -s \"$pid\"; do sleep 0.02; done";
        const END: &str = "test ! -s \"$0\" || kill \"$(cat \"$0\")\" 2> /dev/null; rm -f \"$0\"";
        let file = self.pid_file(name);
        let begin = command("sh", &[&["-c", BEGIN, file.as_str()][..], words].concat());
        self.on_host(&begin, command("sh", &["-c", END, &file])).await
    }

    /// The file with the pid of the process that was started under this name.
    pub(super) fn pid_file(&self, name: &str) -> String {
        let file = format!("homelab-injected-{}-{name}", std::process::id());
        std::env::temp_dir().join(file).to_string_lossy().into_owned()
    }

    /// Changes a file of the host in place.
    pub(super) fn edit(
        &mut self,
        path: &Utf8Path,
        change: impl FnOnce(&str) -> String,
    ) -> Result<(), InjectError> {
        let failed = |source| InjectError::File { path: path.to_string(), source };
        let before = fs::read_to_string(path).map_err(failed)?;
        let after = change(&before);
        let target = path.to_owned();
        self.undos.push(format!("restore {path}"), move || {
            let written = fs::write(&target, &before);
            async move { written }
        });
        fs::write(path, after).map_err(failed)
    }

    /// Creates a file on the host: `make` gets the path.
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
}
