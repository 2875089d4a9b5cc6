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

use crate::app::App;
use crate::doctor::{Facts, Grade, checks, vagrant};
use crate::exit::{CliError, Exit};
use crate::printer::Mark;
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
Example:
  sudo homelab doctor      without root, some checks are not possible")]
pub(crate) struct Doctor {}

impl Doctor {
    pub(crate) async fn run(self, app: &App) -> Result<Exit, CliError> {
        let checks = checks(&facts(app).await);
        for check in &checks {
            let remedy = check.remedy.as_ref().map(|remedy| format!(": {remedy}")).unwrap_or_default();
            let mark = match check.grade {
                Grade::Good => "✓",
                Grade::Note => "·",
                Grade::Bad => "✗",
            };
            app.printer.result(&format!("{mark} {}{remedy}\n", check.what));
        }
        let bad = checks.iter().filter(|check| check.grade == Grade::Bad).count();
        if bad == 0 {
            app.printer.line(Mark::Good, "this host can run clusters");
            return Ok(Exit::Ok);
        }
        app.printer.line(Mark::Bad, &format!("{} to fix", words::count(bad, "problem")));
        Ok(Exit::CouldNotRun)
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
        vagrant: Some(virtual_machines(app).await),
        homes: Some(homes::facts(home)),
        guard: Some(app.provisioner.look_at_guard().await),
        disks: [home.root(), home.cache()].into_iter().filter_map(free).collect(),
    }
}

async fn virtual_machines(app: &App) -> vagrant::Facts {
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
