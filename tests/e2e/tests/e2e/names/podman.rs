//! A separate podman for the test: its images and containers are in one folder, which is removed with the test.

use std::time::Duration;

use anyhow::ensure;
use camino::{Utf8Path, Utf8PathBuf};
use harness::wait::{Wait, until};
use provisioner::exec::{Background, Command, Local, Runner};
use provisioner::slowdown::Slowdown;
use tokio::net::UnixStream;

/// The same settings as for nodes: crun refuses the hybrid cgroup layout of older hosts, and podman cannot raise limits
/// without CAP_SYS_RESOURCE. Locks are files, because shared-memory locks would outlive the folder.
const CONFIG: &str = r#"
[containers]
default_ulimits = ["nofile=20000:20000", "nproc=30000:30000"]
log_driver = "k8s-file"
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "none"
lock_type = "file"
"#;

/// Podman's API on a socket.
pub(super) struct Podman {
    folder: Utf8PathBuf,
    service: Background,
}

impl Podman {
    /// Starts the API. All its files are in this folder.
    pub(super) async fn serve(folder: &Utf8Path) -> anyhow::Result<Self> {
        std::fs::write(folder.join("containers.conf"), CONFIG)?;
        let address = address(folder);
        let serve = podman(folder, 60).args(["system", "service", "--time=0", &address]);
        // The service ends with this thread, even if the test is killed.
        let contained =
            serve.wrapped_by("setpriv", ["--pdeathsig", "TERM"]).env("CONTAINERS_CONF", config(folder));
        let mut service = Background::start(&contained)?;
        until("podman's API", Slowdown::of_host().stretch(Duration::from_secs(20)), async || {
            let connected = UnixStream::connect(folder.join("podman.sock")).await;
            Ok::<_, std::io::Error>(match connected {
                Ok(_) => Wait::Done(()),
                Err(error) if service.has_ended() => return Err(error),
                Err(error) => Wait::NotYet(error.to_string()),
            })
        })
        .await?;
        Ok(Self { folder: folder.to_owned(), service })
    }

    /// The folder with all files of this podman.
    pub(super) fn folder(&self) -> &str {
        self.folder.as_str()
    }

    /// The API's address, in the form of `DOCKER_HOST`.
    pub(super) fn address(&self) -> String {
        address(&self.folder)
    }

    /// Imports an archive of a root file system as an image.
    pub(super) async fn import(&self, archive: &Utf8Path, name: &str) -> anyhow::Result<()> {
        Local.run(&podman(&self.folder, 60).args(["import", "--quiet", archive.as_str(), name])).await?;
        Ok(())
    }

    /// Removes all containers and stops the API.
    ///
    /// # Errors
    ///
    /// If a container was left.
    pub(super) async fn end(self) -> anyhow::Result<()> {
        let list = podman(&self.folder, 20).args(["ps", "--all", "--quiet"]);
        let left = Local.run(&list).await?.text();
        Local.run(&podman(&self.folder, 60).args(["rm", "--all", "--force", "--time", "0"])).await?;
        self.service.stop().await;
        ensure!(left.trim().is_empty(), "containers were left: {left}");
        Ok(())
    }
}

fn podman(folder: &Utf8Path, seconds: u64) -> Command {
    let below = |name: &str| folder.join(name).into_string();
    Command::within(Duration::from_secs(seconds), "podman")
        .args(["--root", &below("storage"), "--runroot", &below("run"), "--tmpdir", &below("tmp")])
        // The vfs driver works on every file system.
        .args(["--storage-driver", "vfs"])
        .env("CONTAINERS_CONF", config(folder))
}

fn config(folder: &Utf8Path) -> String {
    folder.join("containers.conf").into_string()
}

fn address(folder: &Utf8Path) -> String {
    format!("unix://{}", folder.join("podman.sock"))
}
