//! The output of a fixture for each way in which a test ends, and what is left of its clusters.

mod cancelled;
mod ends;
mod signals;

use std::io::Read;
use std::process::{Child, ExitStatus, Stdio};

use camino::Utf8PathBuf;
use provisioner::registry::{Instance, Registry};

use crate::given::House;

/// A home, and the folder for a test's evidence.
struct Desk {
    house: House,
    evidence: Utf8PathBuf,
}

/// The end of a test process.
struct End {
    status: ExitStatus,
    /// The lines of its standard error.
    said: Vec<String>,
}

impl Desk {
    fn new() -> Self {
        let house = House::new();
        Self { evidence: house.path("evidence"), house }
    }

    /// Starts a user's test: see `src/bin/author.rs`.
    #[expect(
        clippy::disallowed_methods,
        reason = "tests signal the process while it runs, which no runner can"
    )]
    fn start(&self, keep: &str, body: &str, fault: Option<&str>) -> Child {
        std::process::Command::new(env!("CARGO_BIN_EXE_author"))
            .args([self.house.home.root(), &self.evidence])
            .args([keep, body])
            .args(fault)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// Runs a user's test to its end.
    fn run(&self, keep: &str, body: &str, fault: Option<&str>) -> End {
        End::of(self.start(keep, body, fault))
    }

    fn instances(&self) -> Vec<Instance> {
        Registry::in_home(&self.house.home).instances().unwrap()
    }

    /// Checks that no instance is recorded and that the home has no folder of one.
    fn assert_empty(&self) {
        assert_eq!(self.instances(), []);
        let folders = std::fs::read_dir(self.house.home.root().join("instances"));
        assert_eq!(folders.map_or(0, Iterator::count), 0, "folders of instances are left");
    }

    fn kept(&self, file: &str) -> String {
        std::fs::read_to_string(self.evidence.join(file)).unwrap()
    }
}

impl End {
    fn of(mut child: Child) -> Self {
        let mut said = String::new();
        let mut stderr = child.stderr.take().unwrap();
        std::thread::scope(|scope| {
            // Read the rest of the standard output, because a full pipe would block the child.
            if let Some(mut stdout) = child.stdout.take() {
                scope.spawn(move || std::io::copy(&mut stdout, &mut std::io::sink()).unwrap());
            }
            stderr.read_to_string(&mut said).unwrap();
        });
        Self { status: child.wait().unwrap(), said: said.lines().map(str::to_owned).collect() }
    }

    fn says(&self, text: &str) -> bool {
        self.said.iter().any(|line| line.contains(text))
    }
}
