//! `homelab up NAME`: brings a cluster up, or leaves nothing behind.

use camino::Utf8PathBuf;
use clap::Args;
use jiff::Timestamp;
use provisioner::Cluster;
use provisioner::error::Hint;
use provisioner::kubeconfig;
use provisioner::registry::Keeper;
use provisioner::spec::{CheckedSpec, CiliumOptions, ClusterSpec, CniKind, Topology};
use provisioner::{ProvisionError, Residue};

use super::machines::Machines;
use crate::app::App;
use crate::exit::{CliError, Exit, Refusal};
use crate::printer::Mark;
use crate::progress::Progress;
use crate::signals::Signals;
use crate::values::{cnis, topologies};
use crate::words;

/// Bring a cluster up
///
/// Claims a name, a network and CIDRs that nothing else on this host uses, starts the nodes, makes them a
/// kubeadm cluster and merges its context, named like the instance, into your kubeconfig. The cluster stays
/// until `homelab down NAME`.
///
/// Your kubeconfig and the file with this host's names are looked at first: what cannot be written is refused before
/// anything is made.
///
/// Ctrl-C undoes what was done so far. So does a failure, after logs and plan were saved below
/// ~/.homelab/evidence.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sudo homelab up acme                                  one control plane, three workers
  sudo homelab up personal --topology k8s-single        one node that does everything
  sudo homelab up initech --topology k8s-ha             three control planes, three workers
  sudo homelab up globex --workers 1 --subnet 192.168.61.0/24
  sudo homelab up strict --engine vagrant               in virtual machines by Vagrant
  sudo homelab up strict --engine vagrant --provider libvirt --cpus 4 --memory 4096")]
pub(crate) struct Up {
    /// The instance's name: a DNS label, also the prefix of its nodes and the name of its context
    name: String,
    /// Which nodes
    #[arg(long, value_parser = topologies(), default_value = "k8s-multi")]
    topology: Topology,
    /// How many workers [default: 0 with k8s-single, 3 with the others]
    #[arg(long, value_name = "N")]
    workers: Option<u8>,
    /// The host network, a /24 to a /27 [default: the next free one, from 192.168.60.0/24 on]
    #[arg(long, value_name = "CIDR")]
    subnet: Option<String>,
    /// The first label of the DNS suffix <LABEL>.lab [default: the name]
    #[arg(long, value_name = "LABEL")]
    tld: Option<String>,
    /// The Kubernetes version [default: the newest supported one]
    #[arg(long, value_name = "VERSION")]
    kubernetes: Option<String>,
    /// The pod network: cilium knows network policies, routed comes up sooner and takes less memory
    #[arg(long, value_parser = cnis(), default_value = "cilium")]
    cni: CniKind,
    /// Have Cilium lead services to pods as well, without kube-proxy
    #[arg(long)]
    kube_proxy_replacement: bool,
    /// Have Cilium keep the flows it sees, for `hubble observe` in its agents
    #[arg(long)]
    hubble: bool,
    #[command(flatten)]
    machines: Machines,
    /// Try it even if this machine has no room for it: `homelab doctor` says what fits
    #[arg(long)]
    force: bool,
    /// Let a cluster that failed stay, to look at it
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
                app.printer.line(Mark::Bad, &format!("{signal}: taking {} down again", self.name));
                None
            }
        };
        let outcome = match created {
            None => attempt.undo(&mut signals).await.map(|_| Exit::Interrupted),
            Some(Ok(cluster)) => attempt.succeed(&cluster),
            Some(Err(error)) => attempt.fail(error, self.keep_on_failure, &mut signals).await,
        };
        progress.finish().await;
        outcome
    }
}

/// One `up` in progress. Until it succeeds, this process is recorded as the one that creates the instance: killed at any
/// moment, it leaves an abandoned instance, which the next `up` of this name removes, and `reap`, too.
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
            let what = "its context could not be put into your kubeconfig";
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

    /// Saves what explains the failure, then takes away what was made, unless it shall stay.
    async fn fail(&self, error: ProvisionError, keep: bool, signals: &mut Signals) -> Result<Exit, CliError> {
        if error.residue == Residue::Nothing || !self.is_ours() {
            return Err(Box::new(error).into());
        }
        save_evidence(self.app, self.name(), signals).await;
        if keep {
            self.app.provisioner.keep(self.name())?;
            self.app.printer.line(Mark::Busy, &format!("{} stays as it is", self.name()));
            return Err(Box::new(error).into());
        }
        let undone = self.undo(signals).await?;
        match undone {
            Undone::Entirely => Err(Box::new(ProvisionError { residue: Residue::Nothing, ..error }).into()),
            Undone::Not => Ok(Exit::Interrupted),
        }
    }

    /// Takes the instance down if it is this process's own: the name may have been somebody else's all along.
    async fn undo(&self, signals: &mut Signals) -> Result<Undone, CliError> {
        let name = self.name();
        if !self.is_ours() {
            self.app.printer.line(Mark::Good, "nothing was made yet");
            return Ok(Undone::Entirely);
        }
        tokio::select! {
            destroyed = self.app.provisioner.destroy(name) => {
                destroyed?;
                self.app.printer.line(Mark::Good, &format!("{name} is undone: nothing is left"));
                Ok(Undone::Entirely)
            }
            signal = signals.next() => {
                self.app.printer.line(Mark::Bad, &format!("{signal} again: parts of {name} are left"));
                self.app.printer.hint(&format!("`homelab down {name}` removes them, and so does `homelab reap`"));
                Ok(Undone::Not)
            }
        }
    }

    fn is_ours(&self) -> bool {
        let found = self.app.provisioner.registry().find(self.name()).ok().flatten();
        found.and_then(|instance| instance.operation).is_some_and(|it| it.owner.is_this_process())
    }
}

enum Undone {
    Entirely,
    Not,
}

/// Saves what explains a failure, and says where, until somebody loses patience.
pub(super) async fn save_evidence(app: &App, name: &str, signals: &mut Signals) {
    let folder = evidence(app, name, Timestamp::now());
    tokio::select! {
        collected = app.provisioner.collect_evidence(name, &folder) => match collected {
            Ok(()) => app.printer.line(Mark::Busy, &format!("evidence is in {}", words::own_path(&folder))),
            Err(error) => app.printer.line(Mark::Bad, &format!("no evidence: {}", provisioner::error::chain(&error))),
        },
        signal = signals.next() => app.printer.line(Mark::Bad, &format!("{signal}: no more evidence")),
    }
}

fn evidence(app: &App, name: &str, now: Timestamp) -> Utf8PathBuf {
    app.home().root().join("evidence").join(format!("{name}-{}", now.strftime("%Y%m%dT%H%M%SZ")))
}

fn summary(cluster: &Cluster, now: Timestamp) -> String {
    let instance = &cluster.instance;
    let nodes = words::count(cluster.nodes.len(), "node");
    let took = now.duration_since(instance.created_at).unsigned_abs();
    format!("{} is up: {nodes} on {}, {} after the claim", instance.name, instance.subnet, words::took(took))
}
