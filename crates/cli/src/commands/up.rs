//! `homelab up NAME`: creates an instance and brings its cluster up, or removes what it has made.

use camino::Utf8PathBuf;
use clap::Args;
use jiff::Timestamp;
use provisioner::Cluster;
use provisioner::error::Hint;
use provisioner::kubeconfig;
use provisioner::registry::Keeper;
use provisioner::request::{CheckedSpec, CiliumOptions, ClusterSpec, CniKind, Topology};
use provisioner::{ProvisionError, Residue};

use super::engine::EngineArgs;
use crate::app::App;
use crate::exit::{CliError, Exit, Refusal};
use crate::printer::Mark;
use crate::progress::Progress;
use crate::signals::Signals;
use crate::values::{cnis, topologies};
use crate::words;

/// Bring a cluster up
///
/// Claims a name, a network and CIDRs that nothing else on this host uses, starts the nodes, joins them to a kubeadm
/// cluster and merges a context with the instance's name into your kubeconfig. The cluster stays until `homelab down
/// NAME`.
///
/// First, the command checks your kubeconfig and the file with this host's DNS names. It refuses a file that it cannot
/// write, before anything is made.
///
/// Ctrl-C removes everything that was made so far. A failure does the same, after logs and plan are saved below
/// ~/.homelab/evidence.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sudo homelab up acme                                  one control plane, three workers
  sudo homelab up personal --topology k8s-single        one node for control plane and pods
  sudo homelab up initech --topology k8s-ha             three control planes, three workers
  sudo homelab up globex --workers 1 --subnet 192.168.61.0/24
  sudo homelab up strict --engine vagrant               VMs by Vagrant as nodes
  sudo homelab up strict --engine vagrant --provider libvirt --cpus 4 --memory 4096")]
pub(crate) struct Up {
    /// Name of the instance: a DNS label, also the prefix of its node names and the name of its context
    name: String,
    /// Topology: k8s-single is one node, k8s-multi one control plane and workers, k8s-ha three control planes and
    /// workers
    #[arg(long, value_parser = topologies(), default_value = "k8s-multi")]
    topology: Topology,
    /// Number of workers [default: 0 with k8s-single, 3 with the other topologies]
    #[arg(long, value_name = "N")]
    workers: Option<u8>,
    /// Host network of the nodes, a /24 to a /27 [default: the next free one, from 192.168.60.0/24 on]
    #[arg(long, value_name = "CIDR")]
    subnet: Option<String>,
    /// First label of the DNS suffix <LABEL>.lab [default: NAME]
    #[arg(long, value_name = "LABEL")]
    tld: Option<String>,
    /// Kubernetes version of the nodes [default: the newest supported one]
    #[arg(long, value_name = "VERSION")]
    kubernetes: Option<String>,
    /// Pod network: cilium supports network policies, routed comes up sooner and takes less memory
    #[arg(long, value_parser = cnis(), default_value = "cilium")]
    cni: CniKind,
    /// Let Cilium implement services too, without kube-proxy
    #[arg(long)]
    kube_proxy_replacement: bool,
    /// Let Cilium keep the flows that it sees, for `hubble observe` in its agents
    #[arg(long)]
    hubble: bool,
    #[command(flatten)]
    machines: EngineArgs,
    /// Create the instance even if it exceeds the host's capacity, which `homelab doctor` shows
    #[arg(long)]
    force: bool,
    /// Keep a cluster that failed to come up, for inspection
    #[arg(long)]
    keep_on_failure: bool,
}

impl Up {
    fn spec(&self) -> ClusterSpec {
        ClusterSpec {
            workers: self.workers,
            subnet: self.subnet.clone(),
            tld_prefix: self.tld.clone(),
            kubernetes: self.kubernetes.clone(),
            cni: self.cni,
            cilium: CiliumOptions {
                kube_proxy_replacement: self.kube_proxy_replacement,
                hubble: self.hubble,
            },
            ..ClusterSpec::new(&self.name).topology(self.topology)
        }
    }

    pub(crate) async fn run(self, app: &App) -> Result<Exit, CliError> {
        let (spec, wanted) = self.machines.apply(self.spec(), app.provisioner.settings())?;
        spec.check().map_err(Refusal::Spec)?;
        app.must_be_root()?;
        let spec = spec.engine(wanted.here(&app.provisioner).await).check().map_err(Refusal::Spec)?;
        let attempt = Attempt { app, spec };
        let mut signals = Signals::listen()?;
        let progress = Progress::of(app.provisioner.events(), &app.printer);
        let provisioner = app.provisioner.clone();
        let provisioner = if self.force { provisioner.forced() } else { provisioner };
        let created = tokio::select! {
            created = provisioner.create(&attempt.spec, Keeper::Operator) => Some(created),
            signal = signals.next() => {
                app.printer.line(Mark::Bad, &format!("{signal}: removing {} again", self.name));
                None
            }
        };
        let outcome = match created {
            None => attempt.undo(&mut signals).await.map(|_| Exit::Interrupted),
            Some(Ok(cluster)) => {
                progress.finish().await; // the lines of the last stages come before the result
                return attempt.succeed(&cluster);
            }
            Some(Err(error)) => attempt.fail(error, self.keep_on_failure, &mut signals).await,
        };
        progress.finish().await;
        outcome
    }
}

/// One `up` in progress. Until it succeeds, the registry records this process as the creator of the instance. If the
/// process is killed, the instance is abandoned: the next `up` of this name or `reap` removes it.
struct Attempt<'a> {
    app: &'a App,
    spec: CheckedSpec,
}

impl Attempt<'_> {
    fn name(&self) -> &str {
        self.spec.name.as_str()
    }

    fn succeed(&self, cluster: &Cluster) -> Result<Exit, CliError> {
        self.app.printer.done(&summary(cluster, Timestamp::now()));
        if let Some(error) = &cluster.unmerged {
            let what = "the context could not be merged into your kubeconfig";
            self.app
                .printer
                .line(Mark::Bad, &format!("{what}: {}", provisioner::error::chain(error.as_ref())));
            error.hint().into_iter().for_each(|hint| self.app.printer.hint(&hint));
            self.app.printer.hint(&kubeconfig::merging(self.name()));
            return Ok(Exit::Ok);
        }
        self.app.printer.hint(&format!(
            "`homelab kubectl {0} -- get nodes`, or `homelab k8s use-context {0}` and plain kubectl",
            self.name()
        ));
        Ok(Exit::Ok)
    }

    /// Saves evidence of the failure, then removes the instance unless `keep` is set.
    async fn fail(&self, error: ProvisionError, keep: bool, signals: &mut Signals) -> Result<Exit, CliError> {
        if error.residue == Residue::Nothing || !self.is_ours() {
            return Err(Box::new(error).into());
        }
        save_evidence(self.app, self.name(), signals).await;
        if keep {
            self.app.provisioner.keep(self.name())?;
            self.app.printer.line(Mark::Busy, &format!("{} is kept as it is", self.name()));
            return Err(Box::new(error).into());
        }
        let undone = self.undo(signals).await?;
        match undone {
            Undone::Entirely => Err(Box::new(ProvisionError { residue: Residue::Nothing, ..error }).into()),
            Undone::Not => Ok(Exit::Interrupted),
        }
    }

    /// Removes the instance if this process has created it. An older instance of this name stays.
    async fn undo(&self, signals: &mut Signals) -> Result<Undone, CliError> {
        let name = self.name();
        if !self.is_ours() {
            self.app.printer.line(Mark::Good, "nothing has been made yet");
            return Ok(Undone::Entirely);
        }
        tokio::select! {
            destroyed = self.app.provisioner.destroy(name) => {
                destroyed?;
                self.app.printer.line(Mark::Good, &format!("{name} is removed, and nothing of it is left"));
                Ok(Undone::Entirely)
            }
            signal = signals.next() => {
                self.app.printer.line(Mark::Bad, &format!("{signal} again: parts of {name} are left"));
                self.app
                    .printer
                    .hint(&format!("`sudo homelab down {name}` removes them, and so does `sudo homelab reap`"));
                Ok(Undone::Not)
            }
        }
    }

    /// Whether the registry records this process as the one that changes the instance.
    fn is_ours(&self) -> bool {
        let found = self.app.provisioner.registry().find(self.name()).ok().flatten();
        found.and_then(|instance| instance.operation).is_some_and(|it| it.owner.is_this_process())
    }
}

enum Undone {
    Entirely,
    Not,
}

/// Saves evidence of a failure and reports its folder. A signal ends this early.
pub(super) async fn save_evidence(app: &App, name: &str, signals: &mut Signals) {
    let folder = evidence(app, name, Timestamp::now());
    tokio::select! {
        collected = app.provisioner.collect_evidence(name, &folder) => match collected {
            Ok(()) => app.printer.line(Mark::Busy, &format!("evidence is in {}", words::own_path(&folder))),
            Err(error) => app.printer.line(Mark::Bad, &format!("no evidence: {}", provisioner::error::chain(&error))),
        },
        signal = signals.next() => app.printer.line(Mark::Bad, &format!("{signal}: the evidence is not complete")),
    }
}

/// The folder for evidence: `~/.homelab/evidence/acme-20261128T120000Z`.
fn evidence(app: &App, name: &str, now: Timestamp) -> Utf8PathBuf {
    app.home().root().join("evidence").join(format!("{name}-{}", now.strftime("%Y%m%dT%H%M%SZ")))
}

fn summary(cluster: &Cluster, now: Timestamp) -> String {
    let instance = &cluster.instance;
    let nodes = words::count(cluster.nodes.len(), "node");
    let took = now.duration_since(instance.created_at).unsigned_abs();
    format!("{} is up: {nodes} on {}, {} after the claim", instance.name, instance.subnet, words::took(took))
}
