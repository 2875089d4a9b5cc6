//! The duration of commands that only read or switch: the built `homelab`, with its start, on a home with three
//! instances.

use std::time::{Duration, Instant};

use anyhow::Context;
use camino::Utf8Path;
use provisioner::exec::{Command, Local, Runner};
use provisioner::home::Home;
use provisioner::kubeconfig;
use provisioner::plan::{self, ClusterPlan, Pools, Taken};
use provisioner::registry::{Keeper, Operation, OperationKind, Owner, Registry, State};
use provisioner::request::ClusterSpec;

use crate::measure::median;
use crate::report::Figure;

const ROUNDS: usize = 50;

/// A shortened `admin.conf`, as kubeadm writes it on a first node.
const ADMIN_CONF: &str = "\
apiVersion: v1
kind: Config
clusters: [{name: kubernetes, cluster: {server: 'https://api.acme.lab:6443', certificate-authority-data: Q0E=}}]
users: [{name: kubernetes-admin, user: {client-certificate-data: Q0VSVA==, client-key-data: S0VZ}}]
contexts: [{name: admin@kubernetes, context: {cluster: kubernetes, user: kubernetes-admin}}]
current-context: admin@kubernetes
";

/// Measures each command: the median of [`ROUNDS`] runs.
pub(crate) async fn measure() -> anyhow::Result<Vec<Figure>> {
    let folder = tempfile::tempdir()?;
    let root = Utf8Path::from_path(folder.path()).context("a path of UTF-8")?.join("home");
    let home = Home::at(root);
    for name in ["acme", "globex", "personal"] {
        furnish(&home, name)?;
    }
    let program = std::env::current_exe()?.with_file_name("homelab");
    let program = program.into_os_string().into_string().ok().context("a path of UTF-8")?;
    let verbs =
        ["instance list", "instance list --format json", "instance show acme", "k8s use-context acme"];
    let mut figures = Vec::new();
    for verb in verbs {
        let command = Command::within(Duration::from_secs(10), &program)
            .args(verb.split(' '))
            .env("HOMELAB_HOME", home.root().as_str())
            .env("KUBECONFIG", home.merged_kubeconfig().as_str());
        let mut took = Vec::new();
        for _ in 0..ROUNDS {
            let started = Instant::now();
            Local.run(&command).await?;
            took.push(started.elapsed().as_secs_f64());
        }
        let worst = took.iter().copied().fold(0.0, f64::max);
        let name = format!("homelab {verb}");
        figures.push(Figure { name, rounds: ROUNDS, budget: 0.010, median: median(took), worst });
    }
    Ok(figures)
}

/// Makes registry entry and kubeconfigs of a running instance, without a cluster.
fn furnish(home: &Home, name: &str) -> anyhow::Result<()> {
    let (spec, registry) = (ClusterSpec::new(name).check()?, Registry::in_home(home));
    let creation = Operation::begin(OperationKind::Create, Owner::current("bench")?);
    let instance = registry.claim(|there| {
        let taken = Taken { instances: there.to_vec(), ..Taken::default() };
        plan::claim(&spec, &taken, &Pools::default(), Keeper::Operator, creation)
    })?;
    let isolated = kubeconfig::isolated(ADMIN_CONF, &ClusterPlan::of(&instance, home))?;
    kubeconfig::write_isolated(home, name, &isolated)?;
    kubeconfig::merge(home, &isolated)?;
    registry.update(name, |instance| {
        instance.state = State::Running;
        instance.operation = None;
    })?;
    Ok(())
}
