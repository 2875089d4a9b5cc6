//! What a test's author sees of a fixture, however the test ends, and what is left of its clusters.

mod cancelled;
mod ends;
mod signals;

use std::io::Read;
use std::process::{Child, ExitStatus, Stdio};

use camino::Utf8PathBuf;
use provisioner::registry::{Instance, Registry};

use crate::given::House;

/// A home, and the folder in which a test keeps its evidence.
struct Desk {
    house: House,
    evidence: Utf8PathBuf,
}

/// How a test ended.
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

    /// Starts somebody's test: see `src/bin/author.rs`.
    #[expect(clippy::disallowed_methods, reason = "signalled in the middle, which no runner allows")]
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

    /// Runs somebody's test to its end.
    fn run(&self, keep: &str, body: &str, fault: Option<&str>) -> End {
        End::of(self.start(keep, body, fault))
    }

    fn instances(&self) -> Vec<Instance> {
        Registry::in_home(&self.house.home).instances().unwrap()
    }

    /// Nothing of any instance is recorded or lies in the home.
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
            // Whatever of the standard output nobody has read must not hold it up.
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
