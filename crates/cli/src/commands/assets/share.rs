//! `homelab assets export` and `homelab assets import`: move built assets from one host to another, as one file.

use std::fs::{self, File};
use std::io::{IsTerminal, Read};

use camino::{Utf8Path, Utf8PathBuf};
use clap::Args;
use provisioner::assets::{ArchiveError, AssetsError, Exported, Imported, Output};
use provisioner::request::{KUBERNETES_VERSION, KUBERNETES_VERSIONS, Provider};

use crate::app::App;
use crate::commands::engine::providers;
use crate::exit::{CliError, Exit, Refusal};
use crate::printer::Mark;
use crate::progress::Progress;
use crate::signals::Signals;
use crate::words;

/// Export the node image into one file, for another host
///
/// The file has the root file system and the container store for nodes of one Kubernetes version, with --box also the
/// Vagrant box, and a checksum of everything. `homelab assets import` on a host with the same homelab and the same kind
/// of processor takes about a minute, where a build takes half an hour. FILE appears only when it is complete; `-`
/// writes to standard output.
///
/// If an asset must be built first, the error says so. The command prints the SHA-256 of the file, as `sha256sum` does.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sudo homelab assets export node.tgz
  sudo homelab assets export node-1.35.tgz --kubernetes v1.35.4
  sudo homelab assets export vms.tgz --box libvirt
  sudo homelab assets export - | ssh other sudo homelab assets import -")]
pub(crate) struct Export {
    /// File to write; `-` is standard output
    #[arg(value_name = "FILE")]
    file: Utf8PathBuf,
    /// Kubernetes version of the nodes
    #[arg(long, value_name = "VERSION", value_parser = KUBERNETES_VERSIONS, default_value = KUBERNETES_VERSION)]
    kubernetes: String,
    /// Also export the Vagrant box for this provider
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
            app.home()
                .adopt(&self.file)
                .map_err(|source| failed("change the owner of", &self.file, source))?;
            app.printer.done(&told(&exported, self.file.as_str()));
        }
        Ok(Exit::Ok)
    }
}

/// The parts, the size and the SHA-256 of an exported file.
fn told(exported: &Exported, file: &str) -> String {
    let Exported { bytes, sha256, parts } = exported;
    format!("{} in {file}, {}\n  sha256 {sha256}", words::list(parts), words::size(*bytes))
}

/// Import a file of `homelab assets export` into the cache
///
/// The whole file is checked before the cache changes. A file that is truncated, changed or no export is refused with
/// the name of the part. A file for another kind of processor or of another recipe is refused, too: nodes of this
/// homelab do not start from it. Assets that are already in the cache stay. `-` reads standard input.
///
/// The checksums detect damage, but do not prove who made the file. The file holds programs that run as root: import it
/// only from a source from which you would install homelab itself.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sudo homelab assets import node.tgz
  curl --fail https://builds.example/node.tgz | sudo homelab assets import -")]
pub(crate) struct Import {
    /// File to read; `-` is standard input
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
                app.printer.line(Mark::Bad, &format!("{signal}: stopped; the cache has not changed"));
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

/// The imported parts and the cache, or that the cache had all of them.
fn said(imported: &Imported, cache: &str) -> String {
    let Imported { kubernetes, provider, parts } = imported;
    let node_box = provider.map(|provider| format!(" and the box for {provider}")).unwrap_or_default();
    let what = format!("the node image of Kubernetes {kubernetes}{node_box}");
    if parts.is_empty() {
        return format!("{what} is already in {cache}");
    }
    format!("{what} is in {cache} ({})", words::list(parts))
}

fn failed(attempt: &'static str, path: &Utf8Path, source: std::io::Error) -> CliError {
    AssetsError::from(ArchiveError::File { attempt, path: path.to_string(), source }).into()
}
