//! The files of a target: a home in a temporary folder.

use camino::{Utf8Path, Utf8PathBuf};

use provisioner::home::Home;
use provisioner::plan::{self, ClusterPlan, PlanError, Pools, Taken};
use provisioner::registry::{Instance, Keeper, Operation, OperationKind, Owner};
use provisioner::request::{CheckedSpec, ClusterSpec};

/// The placeholder in a corpus for the home's id, which differs from run to run.
const HOME: &str = "@HOME@";

/// A temporary folder with a home in it, which is deleted with this value.
pub(crate) struct Place {
    folder: tempfile::TempDir,
    pub(crate) home: Home,
}

impl Place {
    pub(crate) fn new() -> Self {
        let memory = std::path::Path::new("/dev/shm");
        let folder =
            if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
        let home = Home::at(Utf8Path::from_path(folder.path()).unwrap().join("home"));
        home.create_dir(home.root()).unwrap();
        Self { folder, home }
    }

    /// A path outside of the home.
    pub(crate) fn path(&self, name: &str) -> Utf8PathBuf {
        Utf8Path::from_path(self.folder.path()).unwrap().join(name)
    }

    /// Replaces the placeholders by the home's id.
    pub(crate) fn of_this_home(&self, data: &[u8]) -> Vec<u8> {
        let (mut left, mut all) = (data, Vec::with_capacity(data.len()));
        while let Some(place) = find(left, HOME.as_bytes()) {
            all.extend_from_slice(&left[..place]);
            all.extend_from_slice(self.home.id().as_bytes());
            left = &left[place + HOME.len()..];
        }
        all.extend_from_slice(left);
        all
    }

    /// Claims and plans an instance when the instances `there` exist.
    pub(crate) fn plan(&self, name: &str, there: &[Instance]) -> (Instance, ClusterPlan) {
        let taken = Taken { instances: there.to_vec(), ..Taken::default() };
        let spec = ClusterSpec::new(name).check().unwrap();
        let instance = claimed(&spec, &taken, &Pools::default()).unwrap();
        let plan = ClusterPlan::of(&instance, &self.home);
        (instance, plan)
    }
}

/// The position of a text in these bytes. `None` if they do not contain it.
pub(crate) fn find(bytes: &[u8], text: &[u8]) -> Option<usize> {
    bytes.windows(text.len()).position(|part| part == text)
}

/// Claims an operator's instance, with the same time in every run.
pub(crate) fn claimed(spec: &CheckedSpec, taken: &Taken, pools: &Pools) -> Result<Instance, PlanError> {
    let owner = Owner::current("fuzz").expect("/proc/self/stat can be read");
    let since = "2026-01-02T03:04:05Z".parse().expect("a valid time");
    let creation = Operation { kind: OperationKind::Create, owner, since };
    plan::claim(spec, taken, pools, Keeper::Operator, creation)
}
