//! Files of other programs: their contents, kind and attributes stay, and `up` is refused before anything is made if a
//! file cannot be changed.

mod bytes;
mod kept;
mod locks;
mod nothing;
mod refused;
mod unusable;

use std::os::unix::fs::{FileTypeExt, MetadataExt, symlink};
use std::os::unix::net::UnixListener;
use std::sync::Arc;

use camino::{Utf8Path, Utf8PathBuf};
use rustix::fs::{CWD, FileType, Mode, mknodat};

use provisioner::dns::Dns;
use provisioner::engine::SimulatedEngine;
use provisioner::error::{Hint, chain};
use provisioner::kubeconfig;
use provisioner::registry::Keeper;
use provisioner::request::{ClusterSpec, EngineKind};
use provisioner::stage::Stage;
use provisioner::{ProvisionError, Provisioner, Residue};

use crate::given::House;

const FOREIGN: &str = "contexts:\n- name: work\n  context: {cluster: work}\ncurrent-context: work\n";
const HOSTS: &str = "127.0.0.1 localhost\n";

/// An operator's host: a kubeconfig and a hosts file outside the home, and simulated nodes.
struct Desk {
    house: House,
    engine: SimulatedEngine,
    provisioner: Provisioner,
}

impl Desk {
    fn new() -> Self {
        let mut house = House::new();
        std::fs::create_dir(house.path("kube")).unwrap();
        std::fs::write(house.path("kube/config"), FOREIGN).unwrap();
        std::fs::write(house.path("hosts"), HOSTS).unwrap();
        house.home = house.home.clone().with_kubeconfigs(vec![house.path("kube/config")]);
        Self::of(house)
    }

    fn of(house: House) -> Self {
        let engine = SimulatedEngine::new(house.home.id());
        let dns = Dns::Hosts { file: house.path("hosts"), labels: Vec::new() };
        let provisioner =
            Provisioner::with_engine(house.home.clone(), Arc::new(engine.clone())).with_dns(dns);
        Self { house, engine, provisioner }
    }

    /// The same desk with other kubeconfigs.
    fn with_kubeconfigs(mut self, paths: &[&Utf8Path]) -> Self {
        let paths = paths.iter().map(|path| (*path).to_owned()).collect();
        self.house.home = self.house.home.clone().with_kubeconfigs(paths);
        Self::of(self.house)
    }

    /// The same desk with another place for names.
    fn with_dns(mut self, dns: Dns) -> Self {
        self.provisioner = self.provisioner.with_dns(dns);
        self
    }

    fn kubeconfig(&self) -> Utf8PathBuf {
        self.house.path("kube/config")
    }

    fn lock(&self) -> Utf8PathBuf {
        self.house.path("kube/config.lock")
    }

    fn hosts(&self) -> Utf8PathBuf {
        self.house.path("hosts")
    }

    async fn up(&self, name: &str) -> Result<provisioner::Cluster, ProvisionError> {
        let spec = ClusterSpec::new(name).workers(0).engine(EngineKind::Simulated).check().unwrap();
        self.provisioner.create(&spec, Keeper::Operator).await
    }

    /// Checks that `up` is refused before anything is claimed or made. Returns the error and the hint.
    async fn refused(&self) -> String {
        let error = self.up("acme").await.unwrap_err();
        assert_eq!((error.stage, error.residue), (Stage::Claim, Residue::Nothing), "{error:?}");
        assert_eq!(self.provisioner.registry().list().unwrap(), []);
        assert!(!self.house.home.root().join("instances").exists(), "something was made");
        assert!(self.engine.commands().is_empty());
        format!("{}\nhint: {}", chain(&error), error.hint().unwrap_or_default())
    }

    /// Checks that nothing is left of acme on the host, in the registry or in files of other programs.
    fn assert_gone(&self) {
        assert_eq!(self.provisioner.registry().list().unwrap(), []);
        assert!(!self.house.home.instance("acme").exists());
        for path in [self.kubeconfig(), self.hosts()] {
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            assert!(!text.contains("acme"), "{path}: {text}");
        }
    }
}

/// Puts something that is not a regular file at a path. The device is in a folder in which no file can be replaced.
fn put(kind: &str, path: &Utf8Path) {
    let _ = std::fs::remove_file(path);
    match kind {
        "folder" => std::fs::create_dir(path).unwrap(),
        "named pipe" => mknodat(CWD, path.as_std_path(), FileType::Fifo, Mode::RWXU, 0).unwrap(),
        "socket" => drop(UnixListener::bind(path).unwrap()),
        "character device" => symlink("/dev/pts/ptmx", path).unwrap(),
        other => panic!("{other}"),
    }
}

/// A file's inode, mode, modification time and length.
fn state(path: &Utf8Path) -> (u64, u32, i64, i64, u64) {
    let about = std::fs::metadata(path).unwrap();
    (about.ino(), about.mode(), about.mtime(), about.mtime_nsec(), about.len())
}

fn is_pipe(path: &Utf8Path) -> bool {
    std::fs::symlink_metadata(path).unwrap().file_type().is_fifo()
}
