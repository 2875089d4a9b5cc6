//! Builds a component's binaries by `go build` from its pinned module.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use camino::Utf8Path;

use crate::exec::environment::{DOWNLOADS, GO, GO_MODULES};
use crate::exec::{Command, Runner};

use super::AssetsError;
use super::cache::{Cache, failed};
use super::pins::Component;
use super::recipe::Part;
use super::sandbox::contained;

/// Name of the file with Go's settings for the build, in the component's module.
const SETTINGS: &str = "homelab.env";

/// Builds a component's binaries if they are missing; returns whether they were in the cache.
pub(super) async fn build(
    cache: &Cache,
    (component, part): &(&Component, Part),
    runner: &dyn Runner,
) -> Result<bool, AssetsError> {
    let (_, cached) = cache.artefact(part, async |folder| make(component, folder, runner).await).await?;
    Ok(cached)
}

async fn make(component: &Component, part: &Utf8Path, runner: &dyn Runner) -> Result<(), AssetsError> {
    let module = part.join("module");
    fs::create_dir(&module).map_err(failed("make", &module))?;
    for (name, contents) in component.files() {
        let path = module.join(name);
        fs::write(&path, contents).map_err(failed("write", &path))?;
    }
    let step = |source| AssetsError::Step {
        artefact: format!("{} {}", component.name, component.version()),
        source,
    };
    let sources = runner
        .run(&go(&module).args(["env", "-json"]).args(GO_MODULES.iter().copied()))
        .await
        .map_err(step)?;
    let settings = module.join(SETTINGS);
    fs::write(&settings, settings_from(&sources.stdout)).map_err(failed("write", &settings))?;
    runner.run(&go_build(component, &module, part)).await.map_err(step)?;
    for (package, binary) in component.tools {
        let built = part.join(default_name(package));
        let wanted = part.join(binary);
        fs::rename(&built, &wanted).map_err(failed("rename", &built))?;
    }
    if !component.sources.is_empty() {
        let list = in_module(component, &module, &["list", "-m", "-f", "{{.Dir}}", component.module]);
        let folder = runner.run(&list).await.map_err(step)?.text().trim().to_owned();
        for source in component.sources {
            let target = part.join("source").join(source);
            let parent = target.parent().unwrap_or(part);
            fs::create_dir_all(parent).map_err(failed("make", parent))?;
            let copy = Command::within(Duration::from_secs(60), "cp");
            // Without the modes, because the files in Go's own cache are read-only.
            let copy = copy.args([
                "--recursive",
                "--no-preserve=mode",
                &format!("{folder}/{source}"),
                target.as_str(),
            ]);
            runner.run(&copy).await.map_err(step)?;
        }
    }
    fs::remove_dir_all(&module).map_err(failed("remove", &module))
}

/// `go build` of all tools of a component, in one call, so that all processors are in use. Pure.
fn go_build(component: &Component, module: &Utf8Path, into: &Utf8Path) -> Command {
    let flags = component.linker_flags();
    let command =
        in_module(component, module, &["build", "-trimpath", "-buildvcs=false", "-ldflags", &flags]);
    let command =
        command.args(if component.tags.is_empty() { vec![] } else { vec!["-tags", component.tags] });
    let command =
        command.args(["-o", &format!("{into}/")]).args(component.tools.iter().map(|(package, _)| *package));
    contained(&command)
}

/// `go` in a component's module, with our settings. Pure.
fn in_module(component: &Component, module: &Utf8Path, args: &[&str]) -> Command {
    go(module)
        // No setting of the user may change a binary. So GOENV replaces the user's file, which `go env -w` writes.
        .env("GOENV", module.join(SETTINGS))
        .env("CGO_ENABLED", if component.cgo { "1" } else { "0" })
        .args(args.iter().copied())
}

/// `go` in a module, with the user's settings for where modules are. Pure.
fn go(module: &Utf8Path) -> Command {
    Command::within(Duration::from_secs(3600), "go")
        .keeping(DOWNLOADS.iter().chain(GO).chain(GO_MODULES).copied())
        .env("GOFLAGS", "-mod=readonly")
        .env("GOTOOLCHAIN", "local")
        .env("GOWORK", "off")
        .in_directory(module.as_str())
}

/// Makes the settings' file (`go help environment`) from the output of `go env -json`. Output that cannot be parsed
/// gives no settings, and Go uses its defaults. Pure.
fn settings_from(answer: &[u8]) -> String {
    let told: BTreeMap<String, String> = serde_json::from_slice(answer).unwrap_or_default();
    let set =
        told.into_iter().filter(|(name, value)| GO_MODULES.contains(&name.as_str()) && !value.is_empty());
    set.map(|(name, value)| format!("{name}={value}\n")).collect()
}

/// The name that `go build` gives a package's binary: the path's last element that is not a major version.
fn default_name(package: &str) -> &str {
    let mut elements = package.rsplit('/');
    let last = elements.next().unwrap_or(package);
    let is_major = last.strip_prefix('v').is_some_and(|number| number.chars().all(|c| c.is_ascii_digit()));
    if is_major { elements.next().unwrap_or(last) } else { last }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binaries_are_found_under_the_names_that_go_gives_them() {
        assert_eq!(default_name("go.etcd.io/etcd/server/v3"), "server");
        assert_eq!(default_name("k8s.io/kubernetes/cmd/kubeadm"), "kubeadm");
    }

    #[test]
    fn of_the_callers_go_settings_only_the_sources_of_modules_are_used() {
        let answer =
            br#"{"GOPROXY": "https://goproxy.work", "GOSUMDB": "", "GOFLAGS": "-mod=mod", "GOAMD64": "v4"}"#;
        assert_eq!(settings_from(answer), "GOPROXY=https://goproxy.work\n");
        assert_eq!(settings_from(b"go: unknown command"), "");
    }

    #[test]
    fn a_component_is_one_go_build() {
        let command = go_build(
            Component::named("runc", crate::request::KUBERNETES_VERSION),
            "/part/module".into(),
            "/part".into(),
        );
        insta::assert_snapshot!(command.to_string(), @r#"cd /part/module && GOFLAGS=-mod=readonly GOTOOLCHAIN=local GOWORK=off GOENV=/part/module/homelab.env CGO_ENABLED=1 setpriv --pdeathsig KILL unshare --mount --pid --fork --kill-child=KILL --mount-proc -- sh -c 'exec "$@"' sh go build -trimpath -buildvcs=false -ldflags '-s -w' -tags seccomp -o /part/ github.com/opencontainers/runc"#);
    }
}
