//! `homelab assets export` and `homelab assets import`: what was built on one machine is used on another.

use std::fs::{self, File};
use std::io::{IsTerminal, Read};

use camino::{Utf8Path, Utf8PathBuf};
use clap::Args;
use provisioner::assets::{ArchiveError, AssetsError, Exported, Imported, Output};
use provisioner::spec::{KUBERNETES_VERSION, KUBERNETES_VERSIONS, Provider};

use crate::app::App;
use crate::commands::machines::providers;
use crate::exit::{CliError, Exit, Refusal};
use crate::printer::Mark;
use crate::progress::Progress;
use crate::signals::Signals;
use crate::words;

/// Write the node image into one file, for another machine
///
/// The file has the root file system and the container store that nodes of one Kubernetes version are started from,
/// with --box also the box for virtual machines, and a checksum of everything. `homelab assets import` on a machine
/// with the same homelab and the same kind of processor puts it in place in about a minute, where a build takes half an
/// hour. FILE has its name when it is complete; `-` writes to standard output.
///
/// What must be built first is said. SHA-256 of the file is printed, as `sha256sum` prints it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sudo homelab assets export node.tgz
  sudo homelab assets export node-1.35.tgz --kubernetes v1.35.4
  sudo homelab assets export machines.tgz --box libvirt
  sudo homelab assets export - | ssh other sudo homelab assets import -")]
pub(crate) struct Export {
    /// Where to write it; `-` is standard output
    #[arg(value_name = "FILE")]
    file: Utf8PathBuf,
    /// Which Kubernetes the nodes are of
    #[arg(long, value_name = "VERSION", value_parser = KUBERNETES_VERSIONS, default_value = KUBERNETES_VERSION)]
    kubernetes: String,
    /// Also the box for virtual machines of this provider
    #[arg(long = "box", value_name = "PROVIDER", value_parser = providers())]
    provider: Option<Provider>,
}

impl Export {
    pub(super) async fn run(self, app: &App) -> Result<Exit, CliError> {
        app.must_be_root()?;
        let to = match self.file.as_str() {
            "-" => {
                let stream = "standard output";
                Output::Stream(Box::new(app.printer.bytes().ok_or(Refusal::Terminal { stream })?))
            }
            _ => Output::File(self.file.clone()),
        };
        let mut signals = Signals::listen()?;
        let (assets, events) = (app.provisioner.assets(), app.provisioner.events());
        let progress = Progress::of(events, &app.printer);
        let exported = tokio::select! {
            exported = assets.export(&self.kubernetes, self.provider, to, events) => exported,
            signal = signals.next() => {
                app.printer.line(Mark::Bad, &format!("{signal}: stopped; no file was written"));
                return Ok(Exit::Interrupted);
            }
        };
        progress.finish().await;
        let exported = exported?;
        if self.file == "-" {
            app.printer.line(Mark::Good, &told(&exported, "standard output"));
        } else {
            app.home().adopt(&self.file).map_err(|source| failed("give to its owner", &self.file, source))?;
            app.printer.done(&told(&exported, self.file.as_str()));
        }
        Ok(Exit::Ok)
    }
}

fn told(exported: &Exported, file: &str) -> String {
    let Exported { bytes, sha256, parts } = exported;
    format!("{} in {file}, {}\n  sha256 {sha256}", words::list(parts), words::size(*bytes))
}

/// Put assets into the cache that `assets export` wrote
///
/// Everything is checked before anything gets its place: a file that is truncated, changed or of something else is
/// refused with the name of the part, and the cache stays as it was. So is a file for other processors, and one of
/// another recipe: nodes of this homelab are not started from it. What is in the cache already stays. `-` reads
/// standard input.
///
/// The checksums find damage; they do not say who made the file. It holds programs that run as root: import only what
/// comes from where you would take homelab itself from.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sudo homelab assets import node.tgz
  curl --fail https://builds.example/node.tgz | sudo homelab assets import -")]
pub(crate) struct Import {
    /// What to read; `-` is standard input
    #[arg(value_name = "FILE")]
    file: Utf8PathBuf,
}

impl Import {
    pub(super) async fn run(self, app: &App) -> Result<Exit, CliError> {
        app.must_be_root()?;
        let from = self.open()?;
        let name = if self.file == "-" { "standard input" } else { self.file.as_str() };
        let mut signals = Signals::listen()?;
        let (assets, events) = (app.provisioner.assets(), app.provisioner.events());
        let progress = Progress::of(events, &app.printer);
        let imported = tokio::select! {
            imported = assets.import(from, name, app.provisioner.runner().as_ref(), events) => imported,
            signal = signals.next() => {
                app.printer.line(Mark::Bad, &format!("{signal}: stopped; the cache is as it was"));
                return Ok(Exit::Interrupted);
            }
        };
        progress.finish().await;
        app.printer.done(&said(&imported?, &words::own_path(assets.folder())));
        Ok(Exit::Ok)
    }

    fn open(&self) -> Result<Box<dyn Read + Send>, CliError> {
        if self.file == "-" {
            let stdin = std::io::stdin();
            let stream = "standard input";
            return if stdin.is_terminal() {
                Err(Refusal::Terminal { stream }.into())
            } else {
                Ok(Box::new(stdin))
            };
        }
        let opened = File::open(&self.file).and_then(|file| match fs::metadata(&self.file)?.is_dir() {
            true => Err(std::io::ErrorKind::IsADirectory.into()),
            false => Ok(file),
        });
        Ok(Box::new(opened.map_err(|source| failed("read", &self.file, source))?))
    }
}

fn said(imported: &Imported, cache: &str) -> String {
    let Imported { kubernetes, provider, parts } = imported;
    let node_box = provider.map(|provider| format!(" and the box for {provider}")).unwrap_or_default();
    let what = format!("the node image of Kubernetes {kubernetes}{node_box}");
    if parts.is_empty() {
        return format!("{what} was in {cache} already");
    }
    format!("{what} is in {cache} ({})", words::list(parts))
}

fn failed(attempt: &'static str, path: &Utf8Path, source: std::io::Error) -> CliError {
    AssetsError::from(ArchiveError::File { attempt, path: path.to_string(), source }).into()
}
