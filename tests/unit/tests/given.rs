//! Fixtures of the tests: temporary homes, and instances as they are claimed.

use std::sync::Arc;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use ipnet::Ipv4Net;
use jiff::Timestamp;

use provisioner::Provisioner;
use provisioner::engine::SimulatedEngine;
use provisioner::exec::{Background, Command};
use provisioner::home::Home;
use provisioner::plan::{self, ClusterPlan, PlanError, Pool, Pools, Taken};
use provisioner::registry::{Instance, Keeper, Operation, OperationKind, Owner};
use provisioner::request::{CheckedSpec, ClusterSpec};

/// A home in a temporary folder, which is deleted with it.
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

    /// Reads the user's kubeconfig.
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

/// Claims an operator's instance.
pub(crate) fn claimed(spec: &CheckedSpec, taken: &Taken, pools: &Pools) -> Result<Instance, PlanError> {
    plan::claim(spec, taken, pools, Keeper::Operator, creation())
}

/// An instance that is claimed when the instances `there` exist.
pub(crate) fn instance(name: &str, there: &[Instance]) -> Instance {
    let taken = Taken { instances: there.to_vec(), ..Taken::default() };
    claimed(&checked(name), &taken, &Pools::default()).unwrap()
}

/// The plan of the only instance.
pub(crate) fn planned(name: &str, home: &Home) -> ClusterPlan {
    ClusterPlan::of(&instance(name, &[]), home)
}

/// Pools for 256 instances.
pub(crate) fn wide_pools() -> Pools {
    let pool = |range, block, first| Pool { range: net(range), block, first: net(first) };
    Pools {
        subnet: pool("192.168.0.0/16", 24, "192.168.60.0/24"),
        pod: pool("10.240.0.0/12", 20, "10.244.0.0/20"),
        service: pool("10.96.0.0/12", 20, "10.96.0.0/20"),
        ..Pools::default()
    }
}

/// Process 7 of another boot, as earlier versions recorded owners.
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

/// The creation operation of every instance in a test. Its process has ended.
pub(crate) fn creation() -> Operation {
    Operation { kind: OperationKind::Create, owner: owner(), since: now() }
}

/// Another process, which lives as long as the first value.
pub(crate) fn another_process() -> (Background, Owner) {
    let house = House::new();
    let file = house.path("pid");
    let script = format!("echo $$ >{file}.new; mv {file}.new {file}; exec sleep infinity");
    let child = Background::start(&Command::within(Duration::MAX, "sh").args(["-c", &script])).unwrap();
    let pid: u32 = until(|| std::fs::read_to_string(&file).ok()).trim().parse().unwrap();
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let start_time = stat.rsplit_once(')').unwrap().1.split_whitespace().nth(19).unwrap().parse().unwrap();
    (child, Owner { pid, start_time, ..Owner::current("run-1").unwrap() })
}

/// A home whose provisioner has a simulated engine.
pub(crate) fn simulated() -> (House, SimulatedEngine, Provisioner) {
    let house = House::new();
    let engine = SimulatedEngine::new(house.home.id());
    let provisioner = Provisioner::with_engine(house.home.clone(), Arc::new(engine.clone()));
    (house, engine, provisioner)
}

/// Polls until `look` returns a value. If it never does, the test fails by the test runner's time-out.
pub(crate) fn until<T>(mut look: impl FnMut() -> Option<T>) -> T {
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        std::thread::yield_now();
    }
}
