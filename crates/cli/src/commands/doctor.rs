//! `homelab doctor`: collects the facts about this host and prints all checks. `crate::doctor` judges the facts.

mod homes;

use std::fs;
use std::time::Duration;

use camino::Utf8Path;
use clap::Args;
use provisioner::assets::tools;
use provisioner::engine::{MissingRequirement, kvm, networks_conf};
use provisioner::error::chain;
use provisioner::exec::Command;
use provisioner::request::{EngineKind, KUBERNETES_VERSION, Provider};
use provisioner::slowdown::Slowdown;
use serde::Serialize;

use crate::app::App;
use crate::doctor::{Check, Facts, Grade, checks, vagrant};
use crate::exit::{CliError, Exit};
use crate::printer::json;
use crate::values::Format;
use crate::words;

/// Check this host, and list everything that is missing
///
/// Shows which home and which cache are in use and why, and whether other users of this host have some, too. Checks
/// root, tools, kernel settings and features, cgroups, disk space, the node image and the host guard, and names the
/// package or the command for each missing requirement. Shows how many more clusters of each kind this host has the
/// capacity for, and whether it can run VMs. Changes nothing.
///
/// Ends with exit code 4 if a requirement is missing. Requirements of VMs count only if ~/.homelab/config.yaml chooses
/// the engine vagrant.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sudo homelab doctor      without root, some checks are not possible
  sudo homelab doctor --format json | jq -r '.checks[] | select(.grade == \"bad\").remedy'")]
pub(crate) struct Doctor {
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// `homelab doctor --format json`
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
struct View {
    /// The version of this format.
    version: u32,
    /// Whether no check has the grade `bad`.
    can_run_clusters: bool,
    /// All checks, in the order in which problems should be fixed.
    checks: Vec<Check>,
}

impl Doctor {
    pub(crate) async fn run(self, app: &App) -> Result<Exit, CliError> {
        let checks = checks(&facts(app).await);
        let bad = checks.iter().filter(|check| check.grade == Grade::Bad).count();
        match self.format {
            Format::Text => app.printer.result(&text(&checks, bad)),
            Format::Json => {
                app.printer.result(&json(&View { version: 1, can_run_clusters: bad == 0, checks }));
            }
        }
        Ok(if bad == 0 { Exit::Ok } else { Exit::CouldNotRun })
    }
}

/// A line for each check, and the conclusion.
fn text(checks: &[Check], bad: usize) -> String {
    let line = |check: &Check| {
        let remedy = check.remedy.as_ref().map(|remedy| format!(": {remedy}")).unwrap_or_default();
        let mark = match check.grade {
            Grade::Good => "✓",
            Grade::Note => "·",
            Grade::Bad => "✗",
        };
        format!("{mark} {}{remedy}\n", check.what)
    };
    let lines: String = checks.iter().map(line).collect();
    match bad {
        0 => format!("{lines}✓ this host can run clusters\n"),
        _ => format!("{lines}✗ {} to fix\n", words::count(bad, "problem")),
    }
}

async fn facts(app: &App) -> Facts {
    let (home, assets) = (app.home(), app.provisioner.assets());
    let to_run = app.provisioner.preflight(EngineKind::Container).await;
    let missing = tools::missing_to_build(app.provisioner.runner().as_ref()).await;
    let to_build =
        missing.iter().map(|tool| MissingRequirement { what: tool.name.to_owned(), remedy: tool.remedy() });
    // A tool that is missing for both is reported once.
    let to_build = to_build.filter(|lack| !to_run.iter().any(|other| other.what == lack.what)).collect();
    Facts {
        to_build,
        to_run,
        image: assets.find(KUBERNETES_VERSION).map(|image| words::own_path(&image.root)),
        kernel_config: kernel_config(app).await,
        cgroup: cgroup().map(str::to_owned),
        is_emulated: Slowdown::of_host() == Slowdown::EMULATED,
        room: app.provisioner.room().map_err(|error| chain(&error)).transpose(),
        vagrant: Some(vm_facts(app).await),
        homes: Some(homes::facts(home)),
        guard: Some(app.provisioner.look_at_guard().await),
        disks: [home.root(), home.cache()].into_iter().filter_map(free).collect(),
    }
}

async fn vm_facts(app: &App) -> vagrant::Facts {
    let (provisioner, settings) = (&app.provisioner, app.provisioner.settings());
    let ask = |program| Command::within(Duration::from_secs(20), program).arg("--version");
    let mut lacks = Vec::new();
    for provider in Provider::ALL {
        lacks.push((provider, provisioner.preflight(EngineKind::Vagrant(provider)).await));
    }
    let networks = || fs::read_to_string(networks_conf::PATH).ok();
    let virtualbox = provisioner.runner().run(&ask("VBoxManage")).await.ok().map(|_| vagrant::VirtualBox {
        has_module: Utf8Path::new("/dev/vboxdrv").exists(),
        lines: networks_conf::lines_to_add(networks().as_deref(), settings.pools.subnet.range),
    });
    let version = provisioner.runner().run(&ask("vagrant")).await.ok();
    vagrant::Facts {
        engine: settings.engine,
        provider: settings.vagrant.provider,
        vagrant: version.map(|output| output.text().trim().to_owned()),
        lacks,
        no_kvm: kvm::usable().err().map(|why| (chain(&why), why.remedy())),
        virtualbox,
    }
}

async fn kernel_config(app: &App) -> Option<String> {
    let zcat = Command::within(Duration::from_secs(10), "zcat").arg("/proc/config.gz");
    if let Ok(output) = app.provisioner.runner().run(&zcat).await {
        return Some(output.text());
    }
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").ok()?;
    fs::read_to_string(format!("/boot/config-{}", release.trim())).ok()
}

fn cgroup() -> Option<&'static str> {
    let exists = |path: &str| Utf8Path::new(path).exists();
    match () {
        () if exists("/sys/fs/cgroup/cgroup.controllers") => Some("unified"),
        () if exists("/sys/fs/cgroup/unified") => Some("hybrid"),
        () if exists("/sys/fs/cgroup/memory") => Some("legacy"),
        () => None,
    }
}

/// The free space in MiB of the nearest existing folder at or above this one, after that folder's path.
fn free(folder: &Utf8Path) -> Option<(String, u64)> {
    let stat = folder.ancestors().find_map(|folder| rustix::fs::statvfs(folder.as_str()).ok())?;
    Some((words::own_path(folder), stat.f_bavail * stat.f_frsize / (1024 * 1024)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> Vec<Check> {
        let check = |grade, what: &str, remedy: Option<&str>| Check {
            grade,
            what: what.to_owned(),
            remedy: remedy.map(str::to_owned),
        };
        vec![
            check(Grade::Good, "cgroups, hybrid layout", None),
            check(Grade::Bad, "podman", Some("apt-get install podman")),
        ]
    }

    #[test]
    fn the_conclusion_comes_last_and_says_how_many_problems_there_are() {
        let expected = "✓ cgroups, hybrid layout\n✗ podman: apt-get install podman\n✗ 1 problem to fix\n";
        assert_eq!(text(&some(), 1), expected);
        assert_eq!(text(&some()[..1], 0), "✓ cgroups, hybrid layout\n✓ this host can run clusters\n");
    }

    #[test]
    fn the_checks_are_as_published() {
        let view = View { version: 1, can_run_clusters: false, checks: some() };
        crate::commands::instance::tests::published("doctor.json", &[view]);
    }
}
