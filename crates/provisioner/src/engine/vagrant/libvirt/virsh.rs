//! `virsh`, libvirt's own tool: lists, makes, changes and removes VMs, volumes and networks.

use std::sync::Arc;
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};

use crate::exec::{Command, Output, Runner};
use crate::files::FileError;

use super::super::super::EngineError;
use super::super::NodeBox;
use super::super::hypervisor::{Vm, VmState};

/// The address of the host's libvirt.
pub(super) const URI: &str = "qemu:///system";
/// The pool with the disks of all instances, and with the disks of boxes that they are based on.
pub(super) const POOL: &str = "homelab";
/// The pool's folder. It is below libvirt's own folder, because QEMU's user may enter that one but not `~/.homelab`.
const POOL_FOLDER: &str = "/var/lib/libvirt/homelab";
/// Time-out for a VM's own shutdown.
const SHUTDOWN: Duration = Duration::from_secs(120);

/// libvirt, through its own tool.
#[derive(Debug, Clone)]
pub(super) struct Virsh {
    host: Arc<dyn Runner>,
}

impl Virsh {
    pub(super) fn new(host: Arc<dyn Runner>) -> Self {
        Self { host }
    }

    /// Whether libvirt answers. A host where it does not is treated as one without VMs and networks of ours.
    pub(super) async fn is_there(&self) -> bool {
        self.ask("connect to libvirt", ["uri"]).await.is_ok()
    }

    /// All VMs of the host, also those that homelab did not make.
    pub(super) async fn vms(&self) -> Result<Vec<Vm>, EngineError> {
        let list = async |flags: &[&str]| {
            let args = ["list", "--name"].into_iter().chain(flags.iter().copied());
            Ok::<_, EngineError>(lines(&self.ask("list virtual machines", args).await?))
        };
        let running = list(&["--state-running"]).await?;
        let paused = list(&["--state-paused"]).await?;
        let state = |name: &String| match () {
            () if running.contains(name) => VmState::Running,
            () if paused.contains(name) => VmState::Paused,
            () => VmState::Off,
        };
        let all = list(&["--all"]).await?.into_iter();
        Ok(all.map(|name| Vm { state: state(&name), name }).collect())
    }

    /// The names of all volumes of our pool.
    pub(super) async fn volumes(&self) -> Result<Vec<String>, EngineError> {
        if !self.has_pool().await? {
            return Ok(Vec::new());
        }
        // Without a refresh, libvirt does not know the files that other programs have written to the pool's folder.
        self.ask("refresh the storage pool", ["pool-refresh", POOL]).await?;
        let table = self.ask("list volumes", ["vol-list", POOL]).await?.text();
        let rows = table.lines().filter_map(|row| row.split_whitespace().next());
        Ok(rows.map(str::to_owned).collect())
    }

    /// The names of all networks of the host, running or not.
    pub(super) async fn networks(&self) -> Result<Vec<String>, EngineError> {
        Ok(lines(&self.ask("list networks", ["net-list", "--all", "--name"]).await?))
    }

    /// The XML of a network; `None` if it does not exist.
    pub(super) async fn network(&self, name: &str) -> Result<Option<String>, EngineError> {
        if !self.networks().await?.iter().any(|there| there == name) {
            return Ok(None);
        }
        Ok(Some(self.ask("inspect a network", ["net-dumpxml", name]).await?.text()))
    }

    pub(super) async fn define_network(&self, xml: &str) -> Result<(), EngineError> {
        let define = virsh(30, ["net-define", "/dev/stdin"]).input(xml);
        self.run("define a network", &define).await.map(drop)
    }

    /// Starts a network if it does not run.
    pub(super) async fn start_network(&self, name: &str) -> Result<(), EngineError> {
        let running = lines(&self.ask("list networks", ["net-list", "--name"]).await?);
        if running.iter().any(|there| there == name) {
            return Ok(());
        }
        self.ask("start a network", ["net-start", name]).await.map(drop)
    }

    /// Removes a network, running or not.
    pub(super) async fn remove_network(&self, name: &str) -> Result<(), EngineError> {
        let running = lines(&self.ask("list networks", ["net-list", "--name"]).await?);
        if running.iter().any(|there| there == name) {
            self.ask("stop a network", ["net-destroy", name]).await?;
        }
        self.ask("remove a network", ["net-undefine", name]).await.map(drop)
    }

    pub(super) async fn suspend(&self, vm: &str) -> Result<(), EngineError> {
        self.ask("pause a virtual machine", ["suspend", vm]).await.map(drop)
    }

    pub(super) async fn resume(&self, vm: &str) -> Result<(), EngineError> {
        self.ask("resume a virtual machine", ["resume", vm]).await.map(drop)
    }

    pub(super) async fn start(&self, vm: &str) -> Result<(), EngineError> {
        self.ask("start a virtual machine", ["start", vm]).await.map(drop)
    }

    /// Shuts a VM down, and powers it off if it still runs after [`SHUTDOWN`].
    pub(super) async fn shut_down(&self, vm: &str) -> Result<(), EngineError> {
        self.ask("shut down a virtual machine", ["shutdown", vm]).await?;
        let asked = Instant::now();
        while self.vms().await?.iter().any(|it| it.name == vm && it.state != VmState::Off) {
            if asked.elapsed() > SHUTDOWN {
                return self.ask("power off a virtual machine", ["destroy", vm]).await.map(drop);
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        Ok(())
    }

    /// Removes a VM with its disk, in any state. A VM that does not exist is no error.
    pub(super) async fn remove(&self, vm: &str) -> Result<(), EngineError> {
        let vms = self.vms().await?;
        let Some(there) = vms.iter().find(|it| it.name == vm) else { return Ok(()) };
        if there.state != VmState::Off {
            self.ask("power off a virtual machine", ["destroy", vm]).await?;
        }
        let undefine = ["undefine", vm, "--managed-save", "--snapshots-metadata", "--nvram"];
        self.ask("remove a virtual machine", undefine).await?;
        let disk = format!("{vm}.img");
        if self.volumes().await?.contains(&disk) { self.delete_volume(&disk).await } else { Ok(()) }
    }

    pub(super) async fn delete_volume(&self, name: &str) -> Result<(), EngineError> {
        self.ask("remove a volume", ["vol-delete", "--pool", POOL, name]).await.map(drop)
    }

    /// Whether our pool is defined, running or not.
    async fn knows_pool(&self) -> Result<bool, EngineError> {
        let all = lines(&self.ask("list storage pools", ["pool-list", "--all", "--name"]).await?);
        Ok(all.iter().any(|name| name == POOL))
    }

    async fn has_pool(&self) -> Result<bool, EngineError> {
        let running = lines(&self.ask("list storage pools", ["pool-list", "--name"]).await?);
        Ok(running.iter().any(|name| name == POOL))
    }

    /// Makes the pool if it does not exist, and starts it if it does not run. Another process may do the same
    /// meanwhile.
    pub(super) async fn make_pool(&self) -> Result<(), EngineError> {
        if self.has_pool().await? {
            return Ok(());
        }
        if !self.knows_pool().await? {
            let define = ["pool-define-as", POOL, "dir", "--target", POOL_FOLDER];
            match self.ask("define the storage pool", define).await {
                Err(_) if self.knows_pool().await? => {}
                defined => drop(defined?),
            }
        }
        // Makes its folder.
        self.ask("build the storage pool", ["pool-build", POOL]).await?;
        match self.ask("start the storage pool", ["pool-start", POOL]).await {
            Err(_) if self.has_pool().await? => Ok(()),
            started => started.map(drop),
        }
    }

    /// Copies the box's disk into the pool, once, under the name that vagrant-libvirt expects (its action
    /// `HandleBoxImage`). vagrant-libvirt would upload the disk itself, but not atomically: if it was killed, all
    /// instances would use a torn disk.
    pub(super) async fn keep(&self, image: &NodeBox) -> Result<(), EngineError> {
        let name = format!(
            "{}_vagrant_box_image_{}_box.img",
            image.name.replace('/', "-VAGRANTSLASH-"),
            image.version
        );
        let target = Utf8Path::new(POOL_FOLDER).join(&name);
        if !target.exists() {
            copy(image.disk.clone(), target).await?;
            self.ask("refresh the storage pool", ["pool-refresh", POOL]).await?;
        }
        Ok(())
    }

    /// Runs `virsh` with these arguments. `what` names the attempt in an error: `list networks`.
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

/// Copies a file atomically: under another name first, then by renaming it.
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

    /// A libvirt that gives these answers, which libvirt 9.0 gave.
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
    async fn a_pool_that_another_process_creates_meanwhile_is_used() {
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
    async fn a_pool_that_libvirt_refuses_is_an_error_with_its_message() {
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
    async fn a_vm_that_neither_runs_nor_is_paused_is_off() {
        let virsh = answers([
            ("list --name --state-running", Ok("homelab-0a1b2c.acme.acme-main\n\n")),
            ("list --name --state-paused", Ok("theirs\n\n")),
            (
                "list --name --all",
                Ok("homelab-0a1b2c.acme.acme-main\ntheirs\nhomelab-0a1b2c.globex.globex-main\n\n"),
            ),
        ]);
        let states: Vec<_> = virsh.vms().await.unwrap().into_iter().map(|it| (it.name, it.state)).collect();
        assert_eq!(
            states,
            [
                ("homelab-0a1b2c.acme.acme-main".to_owned(), VmState::Running),
                ("theirs".to_owned(), VmState::Paused),
                ("homelab-0a1b2c.globex.globex-main".to_owned(), VmState::Off),
            ]
        );
    }

    #[tokio::test]
    async fn a_vm_is_removed_with_its_disk_and_without_a_shutdown() {
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
