//! The systemd unit that runs `homelab watch`.

use std::fs;
use std::io;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use provisioner::error::Hint;
use provisioner::exec::{Command, CommandError, Runner};
use provisioner::home::Home;

use crate::app::App;
use crate::exit::{CliError, Ends, Exit};

const NAME: &str = "homelab-watch.service";
const PATH: &str = "/etc/systemd/system/homelab-watch.service";
/// This folder exists if systemd booted the host (sd_booted(3)).
const BOOTED: &str = "/run/systemd/system";
/// The first line of our unit. A unit without it is foreign.
const OURS: &str = "# Written by `homelab watch --install`.";

/// Why the unit is not installed or removed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UnitError {
    #[error("install {NAME}: systemd does not run on this host")]
    NoSystemd,
    #[error("{PATH} exists, and homelab has not written it")]
    Foreign,
    #[error("{attempt} {path}")]
    File {
        attempt: &'static str,
        path: Utf8PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("apply the change of {NAME} with systemctl")]
    Systemctl(#[source] CommandError),
}

impl Ends for UnitError {
    fn exit(&self) -> Exit {
        Exit::CouldNotRun
    }
}

impl Hint for UnitError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::NoSystemd => Some(
                "let your own supervisor run `homelab watch` as root; it stays in the foreground and ends on SIGTERM"
                    .to_owned(),
            ),
            Self::Foreign => Some("move the file away; `homelab watch --print-unit` shows homelab's unit".to_owned()),
            Self::File { .. } | Self::Systemctl(_) => None,
        }
    }
}

/// The unit for this program and this home.
pub(super) fn of_this_program(home: &Home) -> Result<String, CliError> {
    let failed = |source| UnitError::File { attempt: "find", path: "/proc/self/exe".into(), source };
    let program = std::env::current_exe().map_err(failed)?;
    let program = Utf8PathBuf::from_path_buf(program).map_err(|path| {
        failed(io::Error::new(io::ErrorKind::InvalidData, format!("{} is not UTF-8", path.display())))
    })?;
    Ok(unit(&program, home.root(), home.cache()))
}

/// The unit. Pure.
fn unit(program: &Utf8Path, home: &Utf8Path, cache: &Utf8Path) -> String {
    // In a command line, and only there, `$` begins a variable.
    let (program, home, cache) = (escaped(program).replace('$', "$$"), escaped(home), escaped(cache));
    format!(
        r#"{OURS}
[Unit]
Description=Keeps the host guard of homelab intact
After=network-pre.target nftables.service firewalld.service libvirtd.service docker.service

[Service]
ExecStart="{program}" watch
Environment="HOMELAB_HOME={home}" "HOMELAB_CACHE={cache}"
Restart=on-failure
RestartSec=5

[Install]
WantedBy=multi-user.target
"#
    )
}

/// A path between double quotes (systemd.syntax(7), systemd.unit(5)): `%` stands for itself when doubled.
fn escaped(path: &Utf8Path) -> String {
    path.as_str().replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%")
}

pub(super) async fn install(app: &App) -> Result<Exit, CliError> {
    let text = of_this_program(app.home())?;
    put(&text, Place::of_host(), app.provisioner.runner().as_ref()).await?;
    app.printer.done(&format!("{NAME} is installed, enabled and started"));
    app.printer.hint(
        "`homelab events --follow` shows what it records, `journalctl --unit homelab-watch` what it says",
    );
    Ok(Exit::Ok)
}

pub(super) async fn uninstall(app: &App) -> Result<Exit, CliError> {
    match take(Place::of_host(), app.provisioner.runner().as_ref()).await? {
        true => app.printer.done(&format!("{NAME} is stopped and removed")),
        false => app.printer.done(&format!("{NAME} is not installed")),
    }
    Ok(Exit::Ok)
}

/// The paths of the unit, and of the folder that shows that systemd runs.
#[derive(Debug, Clone)]
struct Place {
    booted: Utf8PathBuf,
    unit: Utf8PathBuf,
}

impl Place {
    fn of_host() -> Self {
        Self { booted: BOOTED.into(), unit: PATH.into() }
    }

    /// Whether our unit exists. A foreign unit is an error.
    fn has_ours(&self) -> Result<bool, UnitError> {
        match fs::read_to_string(&self.unit) {
            Ok(text) if text.starts_with(OURS) => Ok(true),
            Ok(_) => Err(UnitError::Foreign),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(source) => Err(UnitError::File { attempt: "read", path: self.unit.clone(), source }),
        }
    }
}

/// Writes the unit, and lets systemd start it now and at every boot. An existing unit of ours is written again.
async fn put(text: &str, place: Place, runner: &dyn Runner) -> Result<(), UnitError> {
    if !place.booted.exists() {
        return Err(UnitError::NoSystemd);
    }
    place.has_ours()?;
    let written = fs::write(&place.unit, text);
    written.map_err(|source| UnitError::File { attempt: "write", path: place.unit.clone(), source })?;
    systemctl(&["daemon-reload"], runner).await?;
    systemctl(&["enable", NAME], runner).await?;
    systemctl(&["restart", NAME], runner).await
}

/// Stops and removes the unit. Returns whether it existed.
async fn take(place: Place, runner: &dyn Runner) -> Result<bool, UnitError> {
    if !place.has_ours()? {
        return Ok(false);
    }
    if place.booted.exists() {
        systemctl(&["disable", "--now", NAME], runner).await?;
    }
    let removed = fs::remove_file(&place.unit);
    removed.map_err(|source| UnitError::File { attempt: "remove", path: place.unit.clone(), source })?;
    if place.booted.exists() {
        systemctl(&["daemon-reload"], runner).await?;
    }
    Ok(true)
}

async fn systemctl(words: &[&str], runner: &dyn Runner) -> Result<(), UnitError> {
    let command = Command::within(Duration::from_secs(60), "systemctl").args(words.iter().copied());
    runner.run(&command).await.map(drop).map_err(UnitError::Systemctl)
}

#[cfg(test)]
mod tests {
    use provisioner::exec::{Exchange, Scripted};

    use super::*;

    fn place(folder: &tempfile::TempDir) -> Place {
        let folder = Utf8Path::from_path(folder.path()).expect("UTF-8");
        fs::create_dir(folder.join("booted")).expect("a folder");
        Place { booted: folder.join("booted"), unit: folder.join(NAME) }
    }

    fn script(lines: &[&str]) -> Scripted {
        Scripted::new(lines.iter().map(|line| Exchange::ok(format!("systemctl {line}"), "")))
    }

    #[test]
    fn the_unit_escapes_special_characters_in_the_paths_of_the_program_and_the_home() {
        let unit =
            unit("/opt/home lab/$v1/homelab".into(), r#"/srv/50%/"a"$b"#.into(), "/var/cache/homelab".into());
        insta::assert_snapshot!(unit);
    }

    #[tokio::test]
    async fn installing_and_removing_the_unit_may_be_repeated() {
        let folder = tempfile::tempdir().expect("a folder");
        let place = place(&folder);
        let commands = ["daemon-reload", "enable homelab-watch.service", "restart homelab-watch.service"];
        let text = format!("{OURS}\n[Service]\n");
        for _ in 0..2 {
            put(&text, place.clone(), &script(&commands)).await.expect("it is put there");
            assert_eq!(fs::read_to_string(&place.unit).expect("the unit"), text);
        }
        let gone = script(&["disable --now homelab-watch.service", "daemon-reload"]);
        assert!(take(place.clone(), &gone).await.expect("it is taken away"));
        assert!(!take(place.clone(), &script(&[])).await.expect("there is nothing to do"));
        assert!(!place.unit.exists());
    }

    #[tokio::test]
    async fn a_foreign_unit_and_a_host_without_systemd_are_refused_and_left_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let place = place(&folder);
        fs::write(&place.unit, "[Service]\nExecStart=/bin/true\n").expect("a unit");
        assert!(matches!(put("x", place.clone(), &script(&[])).await, Err(UnitError::Foreign)));
        assert!(matches!(take(place.clone(), &script(&[])).await, Err(UnitError::Foreign)));
        assert_eq!(fs::read_to_string(&place.unit).expect("the unit"), "[Service]\nExecStart=/bin/true\n");
        fs::remove_dir(&place.booted).expect("systemd is not there");
        assert!(matches!(put("x", place, &script(&[])).await, Err(UnitError::NoSystemd)));
    }
}
