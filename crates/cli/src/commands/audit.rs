//! `homelab audit`: proves by traffic that running instances cannot reach each other.
//!
//! Whatever can be refused is refused before anything is put into a cluster: `choice` judges names and selection,
//! `folder` whether reports can be written, and a handle is taken on every instance.

mod choice;
mod folder;
mod format;
mod self_test;
mod steps;

use camino::{Utf8Path, Utf8PathBuf};
use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser};
use futures::future::join_all;
use harness::audit::{
    Acceptance, AuditError, Class, ClassId, LeftOut, Outcome, PlanError, Progress, Report, Selection, audit,
};
use harness::{ClusterError, TestCluster};
use provisioner::error::{Hint, chain};
use provisioner::registry::{Instance, State};

use super::machines::Machines;
use crate::app::App;
use crate::exit::{CliError, Ends, Exit};
use crate::printer::{Mark, Printer};
use crate::signals::Signals;
use crate::values::name;
use crate::words;

use choice::Chosen;
use folder::{Folder, FolderError};
use format::ReportFormat;
use self_test::NoScore;
use steps::Steps;

/// Prove that running instances cannot reach each other
///
/// Puts witnesses and probers into each instance, asks every class of leak from every instance to every other, in
/// both directions, and takes them away again. A cell is ISOLATED only if the same question was answered where it must
/// be, and the target's witnesses, there all the time, saw nothing. What is not certain is INCONCLUSIVE, never a
/// pass; what cannot be tried is NOT COVERED, and fails unless it is accepted. Without NAMES all instances are meant: one
/// that does not run is left out, every report says so, and the audit is INCONCLUSIVE at best.
///
/// Ctrl-C ends the audit and removes what it has put into the clusters.
#[derive(Debug, Args)]
#[command(mut_group("Machines", |machines| machines.requires("self_test")))]
#[command(after_help = "\
Examples:
  sudo homelab audit                                    all instances, each against each other
  sudo homelab audit acme globex --out reports          and every format as a file
  sudo homelab audit acme globex --class N1,N3 --from acme --to globex
  sudo homelab audit --class H1 --to workstation        whether the workstation is a bridge
  sudo homelab audit --accept 'H11=tried by hand in May'
  sudo homelab audit --format junit > audit.xml
  sudo homelab audit --self-test                        whether the audit finds what is opened for it
  sudo homelab audit --self-test --engine vagrant --class L5,H4,H13
                                                        the same of some classes between virtual machines

Exit codes:
  0 isolated           1 leak              2 usage             3 inconclusive
  4 could not run      130 interrupted; what was put into the clusters is removed")]
pub(crate) struct Audit {
    /// The instances; they must run [default: all. Those that do not run are left out, named, and the end is 3]
    #[arg(value_name = "NAMES", value_parser = name)]
    names: Vec<String>,
    /// Audit the audit: bring two clusters up that may be lost, open every leak between them or those of the classes that
    /// are named, one at a time, and see that each is found for the right pair and gone when it is closed; takes about ten
    /// minutes, and more between virtual machines
    #[arg(long, conflicts_with_all = ["names", "from", "to", "accept", "format"])]
    self_test: bool,
    #[command(flatten)]
    machines: Machines,
    /// Only these classes of leak
    #[arg(long = "class", value_name = "CLASS", value_delimiter = ',', value_parser = classes(), ignore_case = true)]
    classes: Vec<String>,
    /// Only what these instances ask
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_parser = name)]
    from: Vec<String>,
    /// Only what is asked of these instances, or of the `workstation` as a bridge between them
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_parser = name)]
    to: Vec<String>,
    /// Let a class be not covered, and say why; classes that this engine cannot have are accepted by themselves
    #[arg(long, value_name = "CLASS=REASON", value_parser = acceptance)]
    accept: Vec<Acceptance>,
    /// How to write the report to stdout
    #[arg(long, value_enum, default_value_t)]
    format: ReportFormat,
    /// Write audit.json, audit.xml (JUnit), audit.tap, audit.md and audit.html into this folder, too
    #[arg(long, value_name = "DIR")]
    out: Option<Utf8PathBuf>,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoReport {
    #[error("'{name}' is named twice")]
    Twice { name: String },
    #[error("no instance runs; {}", words::there_are(.known))]
    NoneRuns { known: Vec<String> },
    #[error("not every instance runs: {}", words::list(.states))]
    NotRunning { first: String, state: State, states: Vec<String> },
    #[error("there is nothing to ask of '{name}' alone: what is selected is asked of another instance")]
    Alone { name: String },
    #[error(transparent)]
    Selection(PlanError),
    #[error(transparent)]
    Folder(#[from] FolderError),
    #[error("not every instance can be audited, and nothing was put into any:{}", unusable(.0))]
    Unusable(Vec<(String, ClusterError)>),
    #[error(transparent)]
    Audit(#[from] AuditError),
    #[error(transparent)]
    SelfTest(#[from] NoScore),
    #[error("write the report as {format}")]
    Render {
        format: &'static str,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

fn unusable(refusals: &[(String, ClusterError)]) -> String {
    refusals.iter().map(|(name, error)| format!("\n{name}: {}", chain(error))).collect()
}

/// A class by its id; a wrong one is refused with all that exist.
fn classes() -> PossibleValuesParser {
    let value = |class: &Class| PossibleValue::new(class.id.to_string()).help(class.title);
    PossibleValuesParser::new(Class::all().map(value))
}

fn acceptance(text: &str) -> Result<Acceptance, String> {
    let wrong = || "it is not CLASS=REASON, for instance 'H11=tried by hand'".to_owned();
    let (class, reason) = text.split_once('=').ok_or_else(wrong)?;
    let class: ClassId = class.parse().map_err(|error: harness::audit::UnknownClass| error.to_string())?;
    match reason.trim() {
        "" => Err(wrong()),
        reason => Ok(Acceptance { class, reason: reason.to_owned() }),
    }
}

impl Audit {
    pub(crate) async fn run(self, app: &App) -> Result<Exit, CliError> {
        let selection = Selection { classes: self.classes, from: self.from, to: self.to };
        let ready = || self.out.as_ref().map(|path| Folder::ready(app.home(), path)).transpose();
        if self.self_test {
            let clients = self_test::clients(app, &self.machines).await?;
            let out = ready().map_err(NoReport::from)?;
            app.must_be_root()?;
            return self_test::run(app, clients, &selection, out.as_ref()).await;
        }
        let instances = app.provisioner.registry().instances()?;
        let standing = |instance: &Instance| instance.standing(app.home());
        let Chosen { names, left_out } = choice::choose(&self.names, &instances, standing, &selection)?;
        let out = ready().map_err(NoReport::from)?;
        app.must_be_root()?;
        let mut signals = Signals::listen()?;
        for LeftOut { instance, why } in &left_out {
            app.printer.line(Mark::Bad, &format!("{instance} is left out: {why}"));
        }
        let (progress, steps) = Steps::shown(&app.printer, format!("auditing {}", words::list(&names)));
        let audited = tokio::select! {
            audited = conduct(app, &names, &selection, &progress) => Some(audited),
            signal = signals.next() => {
                let text = format!("{signal}: no report; what was put into the clusters is removed");
                app.printer.line(Mark::Bad, &text);
                None
            }
        };
        drop(progress);
        steps.finish().await;
        let Some(audited) = audited else { return Ok(Exit::Interrupted) };
        let report = audited?.accepting(&self.accept).without(left_out);
        app.printer.result(&self.format.render(&report)?);
        if self.format != ReportFormat::Table {
            let mark = if report.outcome == Outcome::Isolated { Mark::Good } else { Mark::Bad };
            app.printer.line(mark, &report.outcome.to_string());
        }
        if !report.left_out.is_empty() {
            let named = report.instances.join(" ");
            app.printer.hint(&format!(
                "`homelab audit {named}` audits only what runs, and says nothing of the others"
            ));
        }
        if let Some(out) = &out {
            for (format, file) in ReportFormat::FILES {
                let path = out.write(file, &format.render(&report)?).map_err(NoReport::from)?;
                say_written(&app.printer, &path);
            }
        }
        Ok(Exit::of_audit(report.outcome))
    }
}

fn say_written(printer: &Printer, path: &Utf8Path) {
    printer.line(Mark::Good, &format!("written: {}", words::own_path(path)));
}

/// Takes a handle on every instance, and only then begins.
async fn conduct(
    app: &App,
    names: &[String],
    selection: &Selection,
    progress: &Progress,
) -> Result<Report, NoReport> {
    let attached = names.iter().map(async |name| TestCluster::attach(&app.provisioner, name).await);
    let (mut clusters, mut refusals) = (Vec::new(), Vec::new());
    for (name, attached) in names.iter().zip(join_all(attached).await) {
        match attached {
            Ok(cluster) => clusters.push(cluster),
            Err(error) => refusals.push((name.clone(), error)),
        }
    }
    if !refusals.is_empty() {
        return Err(NoReport::Unusable(refusals));
    }
    Ok(audit(&app.provisioner, &clusters, selection, progress).await?)
}

impl Hint for NoReport {
    fn hint(&self) -> Option<String> {
        let status = |name: &str| Some(format!("`homelab status {name}` says what there is of it"));
        match self {
            Self::NoneRuns { .. } => Some("`sudo homelab up NAME` brings one up".to_owned()),
            Self::NotRunning { first, state: State::Paused, .. } => {
                Some(format!("`homelab resume {first}` has it go on"))
            }
            Self::NotRunning { first, state: State::Halted, .. } => {
                Some(format!("`homelab start {first}` starts it with its data"))
            }
            Self::NotRunning { first, .. } => status(first),
            Self::Alone { .. } => Some(
                "`sudo homelab up NAME` brings another one up; without --class, one instance is asked whether the \
                 workstation is a bridge"
                    .to_owned(),
            ),
            Self::Selection(PlanError::NothingToAsk) => Some(
                "without --class, --from and --to everything is asked; `homelab audit --help` lists the classes".to_owned(),
            ),
            Self::Unusable(refusals) => refusals.first().and_then(|(name, _)| status(name)),
            Self::Folder(_) => Some("choose another folder; nothing was put into any cluster".to_owned()),
            Self::Selection(PlanError::UnknownInstance { .. }) => {
                Some("`--from` and `--to` take the instances that are audited, and `--to workstation`".to_owned())
            }
            Self::Twice { .. } | Self::Selection(_) | Self::Audit(_) | Self::SelfTest(_) | Self::Render { .. } => None,
        }
    }
}

impl Ends for NoReport {
    fn exit(&self) -> Exit {
        match self {
            Self::Twice { .. }
            | Self::Alone { .. }
            | Self::Selection(_)
            | Self::Audit(AuditError::Plan(_)) => Exit::Usage,
            Self::NoneRuns { .. }
            | Self::NotRunning { .. }
            | Self::Folder(_)
            | Self::Unusable(_)
            | Self::Audit(_)
            | Self::SelfTest(_)
            | Self::Render { .. } => Exit::CouldNotRun,
        }
    }
}
