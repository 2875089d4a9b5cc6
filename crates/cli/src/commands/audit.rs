//! `homelab audit`: proves by traffic that running instances cannot reach each other.
//!
//! All refusals come before the first probe is deployed: `choice` checks names and selection, `folder` checks that
//! reports can be written, and every instance is attached.

mod acceptance;
mod choice;
mod folder;
mod format;
mod self_test;
mod steps;

use camino::{Utf8Path, Utf8PathBuf};
use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser};
use futures::future::{join_all, try_join_all};
use harness::audit::{
    Acceptance, AuditError, AuditOutcome, AuditProgress, Audited, Class, LeftOut, Report, Selection,
    SelectionError, UnknownClass, audit,
};
use harness::{AttachContextError, AttachedCluster, ClusterError, ContextSpec, TestCluster};
use provisioner::error::{Hint, chain};
use provisioner::registry::{Instance, State};
use provisioner::settings;

use super::engine::EngineArgs;
use crate::app::App;
use crate::exit::{CliError, Ends, Exit};
use crate::printer::{Mark, Printer};
use crate::signals::Signals;
use crate::values::name;
use crate::words;

use acceptance::Accepted;
use choice::Chosen;
use folder::{Folder, FolderError};
use format::ReportFormat;
use self_test::NoScore;
use steps::Steps;

/// Prove that running instances cannot reach each other
///
/// Deploys witnesses and probers into each instance, sends the probes of every class of leak from every instance to
/// every other, in both directions, and removes witnesses and probers again.
///
/// A cell is one class from one instance to another. A cell is ISOLATED only if its control, the same probe where it
/// must succeed, was answered, and if the target's witnesses ran all the time and saw nothing. A cell without certainty
/// is INCONCLUSIVE, never a pass. A class for which a part is missing is NOT COVERED, and fails the audit unless it is
/// accepted. A class is NOT APPLICABLE if this run found that there is nothing to ask, such as SSH keys where no node has
/// an SSH server; the report has the evidence. Every report also names the classes that were not asked.
///
/// Without NAMES and --context, all instances are audited. An instance that does not run is left out, every report names
/// it, and the audit is INCONCLUSIVE at best.
///
/// --context audits a cluster that homelab did not make, by a context of your kubeconfig, with the rights of its user. What
/// needs the cluster's host, its files or a record of how it was made is NOT COVERED: accept it class by class. Witnesses
/// and probers run there as privileged pods from an image that its nodes must have or be able to pull: see --probe-image.
///
/// Ctrl-C ends the audit and removes witnesses and probers.
#[derive(Debug, Args)]
#[command(mut_group("EngineArgs", |machines| machines.requires("self_test")))]
#[command(after_help = "\
Examples:
  sudo homelab audit                                    all instances, each against every other
  sudo homelab audit acme globex --out reports          also write every format as a file
  sudo homelab audit acme globex --class N1,N3 --from acme --to globex
  sudo homelab audit --class H1 --to host        does the host bridge instances?
  sudo homelab audit --accept 'C9=tried by hand in May'
  sudo homelab audit --format junit > audit.xml
  sudo homelab audit acme --context prod --probe-image registry.example.com/toolbox:1
                                                        an instance and a cluster that homelab did not make
  sudo homelab audit --self-test                        does the audit find injected leaks?
  sudo homelab audit --self-test --random 50 --seed 4711
                                                        with 50 random leaks, and one of each kind
  sudo homelab audit --self-test --engine vagrant --class L5,H4,H13
                                                        the same for some classes between VMs

Exit codes:
  0 isolated           1 leak              2 usage             4 could not run
  3 inconclusive, or a class is not covered and not accepted
  130 interrupted; witnesses and probers are removed")]
pub(crate) struct Audit {
    /// Names of the instances, which must run [default: all instances; those that do not run are left out]
    #[arg(value_name = "NAMES", value_parser = name)]
    names: Vec<String>,
    /// Also audit the cluster of this context of your kubeconfig, also if homelab did not make it. May be given several times
    #[arg(long = "context", value_name = "CONTEXT", value_delimiter = ',')]
    contexts: Vec<String>,
    /// The image of witnesses and probers in the clusters of --context. By default it is the one that instances of homelab
    /// have; `homelab assets probe-image` gives it to a registry
    #[arg(long, value_name = "IMAGE", requires = "contexts", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    probe_image: Option<String>,
    /// Audit the audit: bring up two throw-away clusters, inject the leaks of all classes, or of each --class, one at a
    /// time, and check that the audit finds each leak for the right pair only, and no longer after the leak is
    /// reverted. Takes about ten minutes, longer between VMs. Between containers, also inject leaks that are drawn from a
    /// seed, 40 seconds to a minute each
    #[arg(long, conflicts_with_all = ["names", "contexts", "from", "to", "accept", "format", "exhaustive"])]
    self_test: bool,
    /// With --self-test: draw one leak of each kind and N more of any kind, each with a random direction, port, protocol,
    /// place, file or credential, and prove each open by ordinary programs before and after the audit. 0 draws none.
    /// Only between containers [default: 20; with --class or VMs 0]
    #[arg(long, value_name = "N", requires = "self_test")]
    random: Option<u32>,
    /// With --self-test: the seed of the drawn leaks, which draws the same leaks again [default: a random one, which is
    /// printed]
    #[arg(long, value_name = "S", requires = "self_test")]
    seed: Option<u64>,
    #[command(flatten)]
    machines: EngineArgs,
    /// Only these classes of leak
    #[arg(long = "class", value_name = "CLASS", value_delimiter = ',', value_parser = classes(), ignore_case = true)]
    classes: Vec<String>,
    /// Only probes from these instances or contexts
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    from: Vec<String>,
    /// Only probes to these instances or contexts, or to `host`: the host as a bridge between instances
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    to: Vec<String>,
    /// Ask every port, protocol and EtherType between all clusters, whatever time it takes. By default, an audit of many
    /// clusters draws the directions in which it does so, asks a sample in the others, and says so
    #[arg(long)]
    exhaustive: bool,
    /// Accept that classes are not covered, with the reason: `C9=REASON`, `C5,C6,S4-S15=REASON`. `audit.accept` of
    /// config.yaml does the same for every audit. No class is accepted by default
    #[arg(long, value_name = "CLASSES=REASON", value_parser = acceptance::parse)]
    accept: Vec<Accepted>,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    format: ReportFormat,
    /// Also write audit.json, audit.xml (JUnit), audit.tap, audit.md and audit.html into this folder; with --self-test,
    /// self-test.md
    #[arg(long, value_name = "DIR")]
    out: Option<Utf8PathBuf>,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoReport {
    #[error("audit.accept of config.yaml names the class '{class}', which does not exist")]
    Accepts { class: String },
    #[error("'{name}' is named twice")]
    Twice { name: String },
    #[error("no instance runs; {}", words::there_are(.known))]
    NoneRuns { known: Vec<String> },
    #[error("only instances that run can be audited: {}", words::list(.states))]
    NotRunning { first: String, state: State, states: Vec<String> },
    #[error("'{name}' alone cannot be audited: the selected classes need a second instance")]
    Alone { name: String },
    #[error(transparent)]
    Selection(SelectionError),
    #[error(transparent)]
    Folder(#[from] FolderError),
    #[error("not every instance can be audited, and nothing was deployed into any:{}", unusable(.0))]
    Unusable(Vec<(String, ClusterError)>),
    #[error(transparent)]
    Attach(#[from] AttachContextError),
    #[error(transparent)]
    Audit(#[from] AuditError),
    #[error("leaks are drawn between containers only: --random and --seed do not go with VMs")]
    DrawnForVms,
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

/// Parses a class by its id. The error for an unknown id lists all classes.
fn classes() -> PossibleValuesParser {
    let value = |class: &Class| PossibleValue::new(class.id.to_string()).help(class.title);
    PossibleValuesParser::new(Class::all().map(value))
}

/// The acceptances of the command line, then those of the settings.
fn acceptances(named: Vec<Accepted>, settings: &settings::Audit) -> Result<Vec<Acceptance>, NoReport> {
    let configured = settings.accept.iter().map(|(class, reason)| match class.parse() {
        Ok(class) => Ok(Acceptance { class, reason: reason.clone(), by: "config.yaml".to_owned() }),
        Err(UnknownClass(class)) => Err(NoReport::Accepts { class }),
    });
    named.into_iter().flat_map(|Accepted(all)| all).map(Ok).chain(configured).collect()
}

impl Audit {
    pub(crate) async fn run(self, app: &App) -> Result<Exit, CliError> {
        let selection =
            Selection { classes: self.classes, from: self.from, to: self.to, exhaustive: self.exhaustive };
        let ready = || self.out.as_ref().map(|path| Folder::ready(app.home(), path)).transpose();
        if self.self_test {
            let clients = self_test::clients(app, &self.machines).await?;
            let campaign = self_test::campaign(&clients, &selection, self.random, self.seed)?;
            let out = ready().map_err(NoReport::from)?;
            app.must_be_root()?;
            return self_test::run(app, clients, (&selection, campaign), out.as_ref()).await;
        }
        let instances = app.provisioner.registry().instances()?;
        let standing = |instance: &Instance| instance.standing(app.home());
        let Chosen { names, left_out } =
            choice::choose((&self.names, &self.contexts), &instances, standing, &selection)?;
        let accepted = acceptances(self.accept, &app.provisioner.settings().audit)?;
        let out = ready().map_err(NoReport::from)?;
        app.must_be_root()?;
        let mut signals = Signals::listen()?;
        for LeftOut { instance, why } in &left_out {
            app.printer.line(Mark::Bad, &format!("{instance} is left out: {why}"));
        }
        let all = [names.as_slice(), &self.contexts].concat();
        let (progress, steps) = Steps::shown(&app.printer, format!("auditing {}", words::list(&all)));
        let contexts = self.contexts.iter().map(|context| {
            let spec = ContextSpec::new(context);
            match &self.probe_image {
                Some(image) => spec.probe_image(image),
                None => spec,
            }
        });
        let contexts: Vec<ContextSpec> = contexts.collect();
        let audited = tokio::select! {
            audited = conduct(app, (&names, &contexts), &selection, &progress) => Some(audited),
            signal = signals.next() => {
                let text = format!("{signal}: no report; witnesses and probers are removed");
                app.printer.line(Mark::Bad, &text);
                None
            }
        };
        drop(progress);
        steps.finish().await;
        let Some(audited) = audited else { return Ok(Exit::Interrupted) };
        let report = audited?.accepting(&accepted).without(left_out);
        app.printer.result(&self.format.render(&report)?);
        if self.format != ReportFormat::Table {
            let mark = if report.outcome == AuditOutcome::Isolated { Mark::Good } else { Mark::Bad };
            app.printer.line(mark, &report.outcome.to_string());
        }
        if !report.left_out.is_empty() {
            let named = report.instances.join(" ");
            app.printer.hint(&format!("`sudo homelab audit {named}` audits the running instances alone"));
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

/// Attaches to every instance, and begins the audit only if that succeeds for all.
async fn conduct(
    app: &App,
    (names, contexts): (&[String], &[ContextSpec]),
    selection: &Selection,
    progress: &AuditProgress,
) -> Result<Report, NoReport> {
    let instances = names.iter().map(async |name| TestCluster::attach(&app.provisioner, name).await);
    let attached = contexts.iter().map(|spec| AttachedCluster::attach(app.home(), spec));
    let (instances, attached) = futures::join!(join_all(instances), try_join_all(attached));
    let attached = attached?;
    let (mut clusters, mut refusals) = (Vec::new(), Vec::new());
    for (name, attached) in names.iter().zip(instances) {
        match attached {
            Ok(cluster) => clusters.push(cluster),
            Err(error) => refusals.push((name.clone(), error)),
        }
    }
    if !refusals.is_empty() {
        return Err(NoReport::Unusable(refusals));
    }
    let audited = Audited { instances: &clusters, attached: &attached };
    Ok(audit(&app.provisioner, audited, selection, progress).await?)
}

impl Hint for NoReport {
    fn hint(&self) -> Option<String> {
        let status = |name: &str| Some(format!("`sudo homelab status {name}` shows its state"));
        match self {
            Self::Accepts { .. } => Some("correct it there; `homelab audit --help` lists the classes".to_owned()),
            Self::NoneRuns { .. } => Some("`sudo homelab up NAME` brings one up".to_owned()),
            Self::NotRunning { first, state: State::Paused, .. } => {
                Some(format!("`sudo homelab resume {first}` resumes it"))
            }
            Self::NotRunning { first, state: State::Halted, .. } => {
                Some(format!("`sudo homelab start {first}` starts it with its data"))
            }
            Self::NotRunning { first, .. } => status(first),
            Self::Alone { .. } => Some(
                "`sudo homelab up NAME` brings up a second instance; without --class, a single instance is audited \
                 against the host"
                    .to_owned(),
            ),
            Self::Selection(SelectionError::NothingToAsk) => Some(
                "leave out --class, --from or --to; `homelab audit --help` lists the classes".to_owned(),
            ),
            Self::Unusable(refusals) => refusals.first().and_then(|(name, _)| status(name)),
            Self::Folder(_) => Some("choose another folder for --out; nothing was deployed yet".to_owned()),
            Self::Selection(SelectionError::OnRequest { .. }) => {
                Some("leave it out of --class; every report names the classes that were not asked".to_owned())
            }
            Self::Selection(SelectionError::UnknownInstance { .. }) => {
                Some("--from and --to take names of audited instances; --to also takes `host`".to_owned())
            }
            Self::Attach(error) => error.hint(),
            Self::Audit(error) => error.hint(),
            Self::DrawnForVms => Some("leave both out, or use --engine container".to_owned()),
            Self::Twice { .. } | Self::Selection(_) | Self::SelfTest(_) | Self::Render { .. } => None,
        }
    }
}

impl Ends for NoReport {
    fn exit(&self) -> Exit {
        match self {
            Self::Twice { .. }
            | Self::DrawnForVms
            | Self::Alone { .. }
            | Self::Selection(_)
            | Self::Attach(AttachContextError::Unknown { .. })
            | Self::Audit(AuditError::Plan(_) | AuditError::SameCluster { .. }) => Exit::Usage,
            Self::Accepts { .. }
            | Self::NoneRuns { .. }
            | Self::NotRunning { .. }
            | Self::Folder(_)
            | Self::Unusable(_)
            | Self::Attach(_)
            | Self::Audit(_)
            | Self::SelfTest(_)
            | Self::Render { .. } => Exit::CouldNotRun,
        }
    }
}
