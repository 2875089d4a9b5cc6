//! What tests start from: homes of their own, and instances as they are claimed.

use std::sync::Arc;

use camino::{Utf8Path, Utf8PathBuf};
use ipnet::Ipv4Net;
use jiff::Timestamp;

use provisioner::Provisioner;
use provisioner::engine::SimulatedEngine;
use provisioner::home::Home;
use provisioner::plan::{self, ClusterPlan, Pool, Pools, Taken};
use provisioner::registry::{Instance, Owner};
use provisioner::spec::{CheckedSpec, ClusterSpec};

/// A home in a temporary folder that goes with it.
pub(crate) struct House {
    folder: tempfile::TempDir,
    pub(crate) home: Home,
}

impl House {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(utf8(folder.path()).join("home"));
        Self { folder, home }
    }

    /// A path outside of the home.
    pub(crate) fn path(&self, name: &str) -> Utf8PathBuf {
        utf8(self.folder.path()).join(name)
    }

    /// Writes the user's kubeconfig.
    pub(crate) fn kubeconfig(&self, text: &str) {
        let path = self.home.merged_kubeconfig();
        self.home.create_dir(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Reads it.
    pub(crate) fn merged(&self) -> String {
        std::fs::read_to_string(self.home.merged_kubeconfig()).unwrap()
    }
}

fn utf8(path: &std::path::Path) -> Utf8PathBuf {
    Utf8Path::from_path(path).unwrap().to_owned()
}

/// 2026-01-02T03:04:05Z, the time of every claim in a test.
pub(crate) fn now() -> Timestamp {
    "2026-01-02T03:04:05Z".parse().unwrap()
}

pub(crate) fn net(text: &str) -> Ipv4Net {
    text.parse().unwrap()
}

pub(crate) fn checked(name: &str) -> CheckedSpec {
    ClusterSpec::new(name).check().unwrap()
}

/// An instance as it is claimed when these are there already.
pub(crate) fn instance(name: &str, there: &[Instance]) -> Instance {
    let taken = Taken { instances: there.to_vec(), ..Taken::default() };
    plan::claim(&checked(name), &taken, &Pools::default(), None, now()).unwrap()
}

/// The plan of an instance that is alone.
pub(crate) fn planned(name: &str, home: &Home) -> ClusterPlan {
    ClusterPlan::of(&instance(name, &[]), home)
}

/// Pools with room for 256 instances.
pub(crate) fn wide_pools() -> Pools {
    let pool = |range, block, first| Pool { range: net(range), block, first: net(first) };
    Pools {
        subnet: pool("192.168.0.0/16", 24, "192.168.60.0/24"),
        pod: pool("10.240.0.0/12", 20, "10.244.0.0/20"),
        service: pool("10.96.0.0/12", 20, "10.96.0.0/20"),
        ..Pools::default()
    }
}

/// Process 7 of another boot, as an earlier version recorded owners.
pub(crate) fn owner() -> Owner {
    Owner {
        pid: 7,
        start_time: 8,
        boot_id: "b".to_owned(),
        run_id: "r".to_owned(),
        pid_namespace: None,
        time_namespace: None,
        lock: None,
    }
}

/// A home whose provisioner has a simulated engine.
pub(crate) fn simulated() -> (House, SimulatedEngine, Provisioner) {
    let house = House::new();
    let engine = SimulatedEngine::new(house.home.id());
    let provisioner = Provisioner::with_engine(house.home.clone(), Arc::new(engine.clone()));
    (house, engine, provisioner)
}

/// Looks until there is something to see; a test that waits in vain fails by the runner's deadline.
pub(crate) fn until<T>(mut look: impl FnMut() -> Option<T>) -> T {
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        std::thread::yield_now();
    }
}
