//! The prepared container store: all images imported and unpacked once, instead of on every node.

use std::fs;
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};

use crate::exec::{Background, Command, Runner};
use crate::plan::digest_of;

use super::AssetsError;
use super::binaries;
use super::cache::{Cache, failed, short_lived};
use super::images;
use super::pins::{Component, PAUSE_IMAGE};

pub(super) const KIND: &str = "store";
/// Counts up when the way in which the store is prepared changes.
const RECIPE: &str = "1";

/// Only what stores images: the rest would reach for the host's sockets, networks and folders.
const CONFIG: &str = "\
version = 3
disabled_plugins = [
  'io.containerd.cri.v1.images', 'io.containerd.cri.v1.runtime', 'io.containerd.grpc.v1.cri',
  'io.containerd.internal.v1.opt', 'io.containerd.nri.v1.nri', 'io.containerd.internal.v1.tracing',
]
";

/// What decides the store.
pub(super) fn digest() -> String {
    digest_of([RECIPE, &images::digest(), CONFIG])
}

/// Prepares the store; says whether it was there.
pub(super) async fn build(cache: &Cache, archives: &Utf8Path, runner: &dyn Runner) -> Result<bool, AssetsError> {
    let make = async |part: &Utf8Path| {
        let (_goes, state) = short_lived()?;
        let mut containerd = Containerd::start(cache, part, &state)?;
        let imported = match containerd.serves().await {
            Ok(()) => containerd.import_all(archives, runner).await,
            Err(error) => Err(error),
        };
        containerd.process.stop().await;
        imported?;
        // Work of the moment, not of the store.
        for name in ["io.containerd.runtime.v2.task", "tmpmounts"] {
            let _ = fs::remove_dir_all(part.join(name));
        }
        Ok(())
    };
    Ok(cache.artefact(KIND, &digest(), make).await?.1)
}

/// A containerd that runs while the store is filled.
struct Containerd {
    process: Background,
    socket: Utf8PathBuf,
    ctr: Utf8PathBuf,
}

impl Containerd {
    fn start(cache: &Cache, root: &Utf8Path, state: &Utf8Path) -> Result<Self, AssetsError> {
        let bin = binaries::path(cache, Component::named("containerd"));
        let config = state.join("config.toml");
        fs::write(&config, CONFIG).map_err(failed("write", &config))?;
        let socket = state.join("containerd.sock");
        // Ends with its parent, also when that is killed.
        let command = Command::within(Duration::MAX, "setpriv")
            .args(["--pdeathsig", "KILL", bin.join("containerd").as_str(), "--config", config.as_str()])
            .args(["--root", root.as_str(), "--state", state.join("state").as_str()])
            .args(["--address", socket.as_str()]);
        let step = |source| AssetsError::Step { artefact: "the container store".to_owned(), source };
        let process = Background::start(&command).map_err(step)?;
        Ok(Self { process, socket, ctr: bin.join("ctr") })
    }

    /// Waits for its socket, which `ctr` does not.
    async fn serves(&mut self) -> Result<(), AssetsError> {
        let deadline = Instant::now() + Duration::from_secs(30);
        while !self.socket.exists() {
            if self.process.has_ended() || Instant::now() > deadline {
                return Err(AssetsError::Containerd);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    fn ctr(&self, seconds: u64) -> Command {
        let command = Command::within(Duration::from_secs(seconds), self.ctr.as_str());
        command.args(["--address", self.socket.as_str(), "--namespace", "k8s.io"])
    }

    async fn import_all(&self, archives: &Utf8Path, runner: &dyn Runner) -> Result<(), AssetsError> {
        let step = |source| AssetsError::Step { artefact: "the container store".to_owned(), source };
        let entries = fs::read_dir(archives).map_err(failed("read", archives))?;
        for entry in entries {
            let archive = entry.map_err(failed("read", archives))?.path();
            let import = self.ctr(300).args(["images", "import", "--local"]).arg(archive.to_string_lossy());
            runner.run(&import).await.map_err(step)?;
        }
        // Never collected as garbage, also when no pod runs.
        let pin = self.ctr(30).args(["images", "label", PAUSE_IMAGE, "io.cri-containerd.pinned=pinned"]);
        runner.run(&pin).await.map(drop).map_err(step)
    }
}
