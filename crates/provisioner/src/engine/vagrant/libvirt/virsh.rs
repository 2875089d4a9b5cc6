//! `virsh`, libvirt's own tool: the machines, volumes and networks that there really are.

use std::sync::Arc;
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};

use crate::exec::{Command, Output, Runner};
use crate::files::FileError;

use super::super::super::EngineError;
use super::super::NodeBox;
use super::super::hypervisor::{Machine, MachineState};

/// The host's own libvirt.
pub(super) const URI: &str = "qemu:///system";
/// Where the disks of all instances lie, and the box that they grow from.
pub(super) const POOL: &str = "homelab";
/// The pool's folder: below libvirt's own, which QEMU's user may enter and `~/.homelab` it may not.
const POOL_FOLDER: &str = "/var/lib/libvirt/homelab";
/// How long a machine may take to shut down by itself.
const SHUTDOWN: Duration = Duration::from_secs(120);

/// libvirt, asked by its own tool.
#[derive(Debug, Clone)]
pub(super) struct Virsh {
    host: Arc<dyn Runner>,
}

impl Virsh {
    pub(super) fn new(host: Arc<dyn Runner>) -> Self {
        Self { host }
    }

    /// Whether there is a libvirt that answers; where there is none, nothing of ours is there either.
    pub(super) async fn is_there(&self) -> bool {
        self.ask("libvirt", ["uri"]).await.is_ok()
    }

    /// All machines, whoever's.
    pub(super) async fn machines(&self) -> Result<Vec<Machine>, EngineError> {
        let list = async |flags: &[&str]| {
            let args = ["list", "--name"].into_iter().chain(flags.iter().copied());
            Ok::<_, EngineError>(lines(&self.ask("machines", args).await?))
        };
        let running = list(&["--state-running"]).await?;
        let paused = list(&["--state-paused"]).await?;
        let state = |name: &String| match () {
            () if running.contains(name) => MachineState::Running,
            () if paused.contains(name) => MachineState::Paused,
            () => MachineState::Off,
        };
        let all = list(&["--all"]).await?.into_iter();
        Ok(all.map(|name| Machine { state: state(&name), name }).collect())
    }

    /// All volumes of our pool.
    pub(super) async fn volumes(&self) -> Result<Vec<String>, EngineError> {
        if !self.has_pool().await? {
            return Ok(Vec::new());
        }
        // A pool that was not looked at since somebody wrote to its folder tells old news.
        self.ask("our pool", ["pool-refresh", POOL]).await?;
        let table = self.ask("volumes", ["vol-list", POOL]).await?.text();
        let rows = table.lines().filter_map(|row| row.split_whitespace().next());
        Ok(rows.map(str::to_owned).collect())
    }

    /// All networks, running or not.
    pub(super) async fn networks(&self) -> Result<Vec<String>, EngineError> {
        Ok(lines(&self.ask("networks", ["net-list", "--all", "--name"]).await?))
    }

    /// What libvirt knows of a network, if there is one.
    pub(super) async fn network(&self, name: &str) -> Result<Option<String>, EngineError> {
        if !self.networks().await?.iter().any(|there| there == name) {
            return Ok(None);
        }
        Ok(Some(self.ask("a network", ["net-dumpxml", name]).await?.text()))
    }

    pub(super) async fn define_network(&self, xml: &str) -> Result<(), EngineError> {
        let define = virsh(30, ["net-define", "/dev/stdin"]).input(xml);
        self.run("a network", &define).await.map(drop)
    }

    /// Starts a network that does not run.
    pub(super) async fn start_network(&self, name: &str) -> Result<(), EngineError> {
        let running = lines(&self.ask("networks", ["net-list", "--name"]).await?);
        if running.iter().any(|there| there == name) {
            return Ok(());
        }
        self.ask("a network", ["net-start", name]).await.map(drop)
    }

    /// Takes a network away, running or not.
    pub(super) async fn remove_network(&self, name: &str) -> Result<(), EngineError> {
        let running = lines(&self.ask("networks", ["net-list", "--name"]).await?);
        if running.iter().any(|there| there == name) {
            self.ask("a network", ["net-destroy", name]).await?;
        }
        self.ask("a network", ["net-undefine", name]).await.map(drop)
    }

    pub(super) async fn suspend(&self, machine: &str) -> Result<(), EngineError> {
        self.ask("a machine", ["suspend", machine]).await.map(drop)
    }

    pub(super) async fn resume(&self, machine: &str) -> Result<(), EngineError> {
        self.ask("a machine", ["resume", machine]).await.map(drop)
    }

    pub(super) async fn start(&self, machine: &str) -> Result<(), EngineError> {
        self.ask("a machine", ["start", machine]).await.map(drop)
    }

    /// Has a machine shut down; one that does not, loses its power.
    pub(super) async fn shut_down(&self, machine: &str) -> Result<(), EngineError> {
        self.ask("a machine", ["shutdown", machine]).await?;
        let asked = Instant::now();
        while self.machines().await?.iter().any(|it| it.name == machine && it.state != MachineState::Off) {
            if asked.elapsed() > SHUTDOWN {
                return self.ask("a machine", ["destroy", machine]).await.map(drop);
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        Ok(())
    }

    /// Takes a machine away with its disk, whatever it does.
    pub(super) async fn remove(&self, machine: &str) -> Result<(), EngineError> {
        let machines = self.machines().await?;
        let Some(there) = machines.iter().find(|it| it.name == machine) else { return Ok(()) };
        if there.state != MachineState::Off {
            self.ask("a machine", ["destroy", machine]).await?;
        }
        let undefine = ["undefine", machine, "--managed-save", "--snapshots-metadata", "--nvram"];
        self.ask("a machine", undefine).await?;
        let disk = format!("{machine}.img");
        if self.volumes().await?.contains(&disk) { self.delete_volume(&disk).await } else { Ok(()) }
    }

    pub(super) async fn delete_volume(&self, name: &str) -> Result<(), EngineError> {
        self.ask("a volume", ["vol-delete", "--pool", POOL, name]).await.map(drop)
    }

    /// Whether our pool is defined, running or not.
    async fn knows_pool(&self) -> Result<bool, EngineError> {
        let all = lines(&self.ask("pools", ["pool-list", "--all", "--name"]).await?);
        Ok(all.iter().any(|name| name == POOL))
    }

    async fn has_pool(&self) -> Result<bool, EngineError> {
        let running = lines(&self.ask("pools", ["pool-list", "--name"]).await?);
        Ok(running.iter().any(|name| name == POOL))
    }

    /// Makes the pool that is not there, and starts the one that does not run. Another one may do the same meanwhile.
    pub(super) async fn make_pool(&self) -> Result<(), EngineError> {
        if self.has_pool().await? {
            return Ok(());
        }
        if !self.knows_pool().await? {
            let define = ["pool-define-as", POOL, "dir", "--target", POOL_FOLDER];
            match self.ask("our pool", define).await {
                Err(_) if self.knows_pool().await? => {}
                defined => drop(defined?),
            }
        }
        // Makes its folder.
        self.ask("our pool", ["pool-build", POOL]).await?;
        match self.ask("our pool", ["pool-start", POOL]).await {
            Err(_) if self.has_pool().await? => Ok(()),
            started => started.map(drop),
        }
    }

    /// Puts the box's disk into the pool, once, under the name by which vagrant-libvirt looks for it (its action
    /// `HandleBoxImage`): it would upload the disk itself, but not atomically, and one that was killed would leave a torn
    /// disk to all instances.
    pub(super) async fn keep(&self, image: &NodeBox) -> Result<(), EngineError> {
        let name = format!(
            "{}_vagrant_box_image_{}_box.img",
            image.name.replace('/', "-VAGRANTSLASH-"),
            image.version
        );
        let target = Utf8Path::new(POOL_FOLDER).join(&name);
        if !target.exists() {
            copy(image.disk.clone(), target).await?;
            self.ask("our pool", ["pool-refresh", POOL]).await?;
        }
        Ok(())
    }

    async fn ask<'a>(
        &self,
        what: &'static str,
        args: impl IntoIterator<Item = &'a str>,
    ) -> Result<Output, EngineError> {
        self.run(what, &virsh(60, args)).await
    }

    async fn run(&self, what: &'static str, command: &Command) -> Result<Output, EngineError> {
        self.host.run(command).await.map_err(|source| EngineError::Ask { what, source })
    }
}

/// Copies a file to its place all at once: under a name of its own first, then by renaming.
async fn copy(from: Utf8PathBuf, to: Utf8PathBuf) -> Result<(), EngineError> {
    let target = to.clone();
    let copied = tokio::task::spawn_blocking(move || {
        let folder = target.parent().unwrap_or(Utf8Path::new("/"));
        let mut half = tempfile::Builder::new().prefix(".half.").tempfile_in(folder)?;
        std::io::copy(&mut std::fs::File::open(&from)?, half.as_file_mut())?;
        half.persist(&target).map(drop).map_err(|error| error.error)
    });
    let copied = copied.await.unwrap_or_else(|panic| Err(std::io::Error::other(panic)));
    copied.map_err(|source| EngineError::File(FileError { attempt: "write", path: to, source }))
}

fn virsh<'a>(seconds: u64, args: impl IntoIterator<Item = &'a str>) -> Command {
    Command::within(Duration::from_secs(seconds), "virsh").args(["--quiet", "--connect", URI]).args(args)
}

fn lines(answer: &Output) -> Vec<String> {
    answer.text().lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::{Exchange, Scripted};

    /// libvirt 9.0, as it answered.
    fn answers<const N: usize>(exchanges: [(&str, Result<&str, &str>); N]) -> Virsh {
        let script = exchanges.into_iter().map(|(words, answer)| {
            let command = format!("virsh --quiet --connect qemu:///system {words}");
            match answer {
                Ok(text) => Exchange::ok(command, text),
                Err(text) => Exchange::fails(command, 1, text),
            }
        });
        Virsh::new(Arc::new(Scripted::new(script)))
    }

    #[tokio::test]
    async fn a_pool_that_somebody_else_makes_meanwhile_is_ours_as_well() {
        let exists = "error: Failed to define pool homelab\nerror: operation failed: pool 'homelab' already exists \
                      with uuid 9840e652-f500-44a4-b4a8-c40954808265\n";
        let runs = "error: Failed to start pool homelab\nerror: Requested operation is not valid: storage pool \
                    'homelab' is already active\n";
        let virsh = answers([
            ("pool-list --name", Ok("")),
            ("pool-list --all --name", Ok("")),
            ("pool-define-as homelab dir --target /var/lib/libvirt/homelab", Err(exists)),
            ("pool-list --all --name", Ok("homelab\n")),
            ("pool-build homelab", Ok("")),
            ("pool-start homelab", Err(runs)),
            ("pool-list --name", Ok("homelab\n")),
        ]);
        virsh.make_pool().await.unwrap();
    }

    #[tokio::test]
    async fn a_pool_that_libvirt_refuses_is_an_error_with_its_words() {
        let denied = "error: Failed to define pool homelab\nerror: authentication unavailable\n";
        let virsh = answers([
            ("pool-list --name", Ok("")),
            ("pool-list --all --name", Ok("")),
            ("pool-define-as homelab dir --target /var/lib/libvirt/homelab", Err(denied)),
            ("pool-list --all --name", Ok("")),
        ]);
        let error = virsh.make_pool().await.unwrap_err();
        assert!(crate::error::chain(&error).contains("authentication unavailable"), "{error}");
    }

    #[tokio::test]
    async fn what_neither_runs_nor_pauses_is_off() {
        let virsh = answers([
            ("list --name --state-running", Ok("homelab-0a1b2c.acme.acme-main\n\n")),
            ("list --name --state-paused", Ok("theirs\n\n")),
            (
                "list --name --all",
                Ok("homelab-0a1b2c.acme.acme-main\ntheirs\nhomelab-0a1b2c.globex.globex-main\n\n"),
            ),
        ]);
        let states: Vec<_> =
            virsh.machines().await.unwrap().into_iter().map(|it| (it.name, it.state)).collect();
        assert_eq!(
            states,
            [
                ("homelab-0a1b2c.acme.acme-main".to_owned(), MachineState::Running),
                ("theirs".to_owned(), MachineState::Paused),
                ("homelab-0a1b2c.globex.globex-main".to_owned(), MachineState::Off),
            ]
        );
    }

    #[tokio::test]
    async fn a_machine_goes_with_its_disk_and_without_asking_it() {
        let name = "homelab-0a1b2c.acme.acme-main";
        let virsh = answers([
            ("list --name --state-running", Ok(name)),
            ("list --name --state-paused", Ok("\n")),
            ("list --name --all", Ok(name)),
            (&format!("destroy {name}"), Ok("")),
            (&format!("undefine {name} --managed-save --snapshots-metadata --nvram"), Ok("")),
            ("pool-list --name", Ok("homelab\n")),
            ("pool-refresh homelab", Ok("")),
            ("vol-list homelab", Ok(" homelab-0a1b2c.acme.acme-main.img   /var/lib/libvirt/homelab/x.img\n")),
            (&format!("vol-delete --pool homelab {name}.img"), Ok("")),
        ]);
        virsh.remove(name).await.unwrap();
    }
}
