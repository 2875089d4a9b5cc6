//! Builds the node's root file system from Debian's packages, the binaries and the files in `assets/node`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};

use crate::digest::digest_of;
use crate::exec::environment::DOWNLOADS;
use crate::exec::{Command, Runner};

use super::AssetsError;
use super::cache::{Cache, failed};
use super::pins::{PAUSE_IMAGE, SUITE};
use super::recipe::{Part, Recipe};
use super::sandbox::contained;

/// Files that are added to the packages or replace theirs: path, permissions, contents.
const RECIPE: [(&str, u32, &str); 6] = [
    ("etc/hosts", 0o644, include_str!("../../../../assets/node/etc/hosts")),
    ("etc/containerd/config.toml", 0o644, include_str!("../../../../assets/node/etc/containerd/config.toml")),
    ("etc/service/containerd/run", 0o755, include_str!("../../../../assets/node/etc/service/containerd/run")),
    ("etc/service/keepalived/run", 0o755, include_str!("../../../../assets/node/etc/service/keepalived/run")),
    ("etc/service/kubelet/run", 0o755, include_str!("../../../../assets/node/etc/service/kubelet/run")),
    ("sbin/homelab-init", 0o755, include_str!("../../../../assets/node/sbin/homelab-init")),
];

/// Component, folder and names of the binaries in the root. Most components are only in images.
const INSTALLED: [(&str, &str, &[&str]); 6] = [
    ("cilium", "opt/cni/bin", &["cilium-cni"]),
    ("cni-plugins", "opt/cni/bin", &["bridge", "host-local", "loopback", "portmap", "ptp"]),
    ("containerd", "usr/local/bin", &["containerd", "containerd-shim-runc-v2", "ctr"]),
    ("helm", "usr/local/bin", &["helm"]),
    ("kubernetes", "usr/local/bin", &["kubeadm", "kubectl", "kubelet"]),
    ("runc", "usr/local/bin", &["runc"]),
];

/// The parts of Cilium's module that nodes render and apply, and their paths in the root.
const CILIUM: [(&str, &str); 2] = [
    ("install/kubernetes/cilium", "usr/local/share/cilium/chart"),
    ("pkg/k8s/apis/cilium.io/client/crds", "usr/local/share/cilium/crds"),
];

/// The digest of a Debian tree's inputs.
pub(super) fn debian_digest(packages: &str) -> String {
    digest_of([SUITE, packages])
}

/// The digest of the root's inputs, given those of the packages and the binaries.
pub(super) fn digest(debian: &str, binaries: &str) -> String {
    let recipe: String = RECIPE.iter().map(|(path, mode, text)| format!("{path} {mode}\n{text}")).collect();
    let installed = format!("{INSTALLED:?} {CILIUM:?}");
    digest_of([debian, binaries, &recipe, &installed, PAUSE_IMAGE])
}

/// Unpacks Debian's packages if they are missing; returns the tree and whether it was in the cache.
pub(super) async fn debian(
    cache: &Cache,
    tree: &Part,
    packages: &str,
    runner: &dyn Runner,
) -> Result<(Utf8PathBuf, bool), AssetsError> {
    let make = async |part: &Utf8Path| {
        let step = |source| AssetsError::Step { artefact: "the root file system".to_owned(), source };
        // In a subfolder, because mmdebstrap removes its target when it fails.
        runner.run(&mmdebstrap(&part.join("root"), packages, &apt_sources())).await.map(drop).map_err(step)
    };
    let (path, cached) = cache.artefact(tree, make).await?;
    Ok((path.join("root"), cached))
}

/// `mmdebstrap` with these apt sources. Pure.
fn mmdebstrap(into: &Utf8Path, packages: &str, sources: &[String]) -> Command {
    let packages = packages.lines().collect::<Vec<_>>().join(",");
    let command = Command::within(Duration::from_secs(1200), "mmdebstrap")
        .keeping(DOWNLOADS.iter().copied())
        .args(["--variant=minbase", &format!("--include={packages}"), SUITE, into.as_str()]);
    contained(&command.args(sources))
}

/// The host's apt sources if the host has the same Debian release, so that its mirrors and proxies are used; else none,
/// and mmdebstrap uses its defaults.
pub fn apt_sources() -> Vec<String> {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let same = release.lines().any(|line| line == format!("VERSION_CODENAME={SUITE}"));
    let parts = fs::read_dir("/etc/apt/sources.list.d").into_iter().flatten().flatten();
    let parts = parts.map(|entry| entry.path().to_string_lossy().into_owned());
    let files = parts.chain(["/etc/apt/sources.list".to_owned()]);
    let is_debian = |path: &String| {
        let apt_reads_it = path.ends_with(".list") || path.ends_with(".sources");
        apt_reads_it && fs::read_to_string(path).is_ok_and(|text| offers_suite(&text))
    };
    let all = files.filter(is_debian).collect();
    if same { all } else { Vec::new() }
}

/// Whether a file of apt sources, in either format, has the release itself with its component `main`. Third parties use
/// suites named after the release (`cloud-sdk-bookworm`), or other components (`bookworm stable`).
fn offers_suite(text: &str) -> bool {
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    let words: Vec<&str> = lines.flat_map(str::split_whitespace).collect();
    words.contains(&SUITE) && words.contains(&"main")
}

/// Builds the root if it is missing; returns whether it was in the cache.
pub(super) async fn build(
    cache: &Cache,
    recipe: &Recipe,
    debian: &Utf8Path,
    runner: &dyn Runner,
) -> Result<bool, AssetsError> {
    let make = async |part: &Utf8Path| {
        let step = |source| AssetsError::Step { artefact: "the node's root".to_owned(), source };
        // Hard links, because both trees are only read. The code below removes a link before it writes a file.
        let copy = Command::within(Duration::from_secs(120), "cp").args(["--archive", "--link"]);
        let copy = copy.args([format!("{debian}/."), part.to_string()]);
        runner.run(&copy).await.map_err(step)?;
        for (component, folder, names) in INSTALLED {
            let from = cache.path(recipe.binaries(component));
            let folder = part.join(folder);
            fs::create_dir_all(&folder).map_err(failed("make", &folder))?;
            for name in names {
                let target = folder.join(name);
                fs::hard_link(from.join(name), &target).map_err(failed("link", &target))?;
            }
        }
        let source = cache.path(recipe.binaries("cilium")).join("source");
        for (from, to) in CILIUM {
            let to = part.join(to);
            let parent = to.parent().unwrap_or(part);
            fs::create_dir_all(parent).map_err(failed("make", parent))?;
            let copy = Command::within(Duration::from_secs(60), "cp").args(["--archive", "--link"]);
            runner.run(&copy.args([source.join(from), to])).await.map_err(step)?;
        }
        // Debian's is a link that is dangling in a container.
        let services = part.join("etc/service");
        let _ = fs::remove_file(&services);
        for (path, mode, text) in RECIPE {
            write(&part.join(path), mode, &text.replace("@PAUSE_IMAGE@", PAUSE_IMAGE))?;
        }
        // The build host's would be wrong. The node writes these files itself.
        for path in ["etc/machine-id", "etc/resolv.conf", "etc/hostname"] {
            write(&part.join(path), 0o644, "")?;
        }
        Ok(())
    };
    Ok(cache.artefact(&recipe.root, make).await?.1)
}

pub(super) fn write(path: &Utf8Path, mode: u32, text: &str) -> Result<(), AssetsError> {
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder).map_err(failed("make", folder))?;
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(failed("replace", path)(error));
        }
        _ => {}
    }
    fs::write(path, text).map_err(failed("write", path))?;
    fs::set_permissions(path, PermissionsExt::from_mode(mode)).map_err(failed("write", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_apt_sources_of_debian_itself_are_used() {
        assert!(offers_suite("Types: deb\nSuites: bookworm bookworm-updates\nComponents: main\n"));
        assert!(offers_suite("deb [signed-by=/k] mirror+file:/etc/mirrors bookworm main contrib\n"));
        assert!(!offers_suite("deb mirror+file:/etc/others cloud-sdk-bookworm main\n"));
        assert!(!offers_suite("deb [arch=amd64] mirror+file:/etc/others bookworm stable\n"));
        assert!(!offers_suite("# deb mirror+file:/etc/mirrors bookworm main\n"));
    }
}
