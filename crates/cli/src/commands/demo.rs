//! `homelab demo`: brings up two clusters, shows that each reaches its own nodes and not the other's, and removes both.

use std::net::Ipv4Addr;

use clap::Args;
use harness::{FixtureError, MultiClusterFixture, PodError, PodOutput, TestCluster, ping};
use provisioner::error::Hint;
use provisioner::request::{ClusterSpec, EngineKind, Topology};

use crate::app::App;
use crate::exit::{CliError, Ends, Exit};
use crate::printer::{Mark, Printer};
use crate::progress::FixtureProgress;
use crate::values::topologies;
use crate::words;

/// Bring up two clusters, show that they cannot reach each other, and remove them
///
/// Brings up two real clusters, acme and globex, as instances with unique names. A pod in each cluster pings a node of
/// its own cluster, which must answer, and a node of the other cluster, which must not answer. Then both clusters are
/// removed, and the host is checked for leftovers. Builds the node image first if it is missing.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sudo homelab demo
  sudo homelab demo --topology k8s-single      two nodes instead of eight")]
pub(crate) struct Demo {
    /// Topology: k8s-single is one node, k8s-multi one control plane and workers, k8s-ha three control planes and
    /// workers
    #[arg(long, value_parser = topologies(), default_value = "k8s-multi")]
    topology: Topology,
}

/// Why the demo failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DemoError {
    /// The clusters did not come up, or could not be removed.
    #[error(transparent)]
    Fixture(#[from] FixtureError),
    /// A pod did not run, so isolation could not be judged.
    #[error("ping from a pod in {client}")]
    Pod {
        client: &'static str,
        #[source]
        source: PodError,
    },
    /// The control failed: a node of the own cluster did not answer, so the other cluster's silence proves nothing.
    #[error(
        "a pod in {client} did not reach a node of its own cluster, so the other's silence proves nothing\n{output}"
    )]
    Control { client: &'static str, output: PodOutput },
    /// A node of the other cluster answered.
    #[error("LEAK: a pod in {client} reached {other}\n{output}")]
    Leak { client: &'static str, other: &'static str, output: PodOutput },
    /// The host still has something of the clusters.
    #[error("not removed from this host: {0}")]
    Left(String),
}

impl Hint for DemoError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Fixture(error) => error.hint(),
            Self::Left(_) => Some("`sudo homelab reap` tries again".to_owned()),
            Self::Pod { .. } | Self::Control { .. } | Self::Leak { .. } => None,
        }
    }
}

impl Ends for DemoError {
    fn exit(&self) -> Exit {
        match self {
            Self::Leak { .. } => Exit::Leak,
            Self::Control { .. } | Self::Pod { .. } => Exit::Inconclusive,
            Self::Fixture(error) => error.exit(),
            Self::Left(_) => Exit::TeardownFailed,
        }
    }
}

impl Demo {
    pub(crate) async fn run(self, app: &App) -> Result<Exit, CliError> {
        app.must_be_root()?;
        let printer = &app.printer;
        printer.result(
            "Two clients, acme and globex, each with its own nodes, network, API server and authorities.\n",
        );
        let (progress, to) = FixtureProgress::of(printer);
        let client = |name| ClusterSpec::new(name).topology(self.topology);
        let fixture =
            MultiClusterFixture::builder().cluster(client("acme")).cluster(client("globex")).events(to);
        let toured = fixture.run(async |fx| tour(fx, printer).await).await;
        progress.finish().await;
        match toured {
            Ok(names) => nothing_is_left(app, &names).await,
            Err(DemoError::Fixture(FixtureError::Interrupted(signal))) => {
                printer
                    .line(Mark::Bad, &format!("{signal}: the demo has ended, and its clusters are removed"));
                Ok(Exit::Interrupted)
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// Pings in both directions. Returns the names of the instances.
async fn tour(fx: &MultiClusterFixture, printer: &Printer) -> Result<Vec<String>, DemoError> {
    let mut names = Vec::new();
    for cluster in fx.clusters() {
        let instance = &cluster.inner().instance;
        let nodes = words::count(cluster.nodes().len(), "node");
        printer.done(&format!(
            "{} runs as {}: {nodes} on {}",
            cluster.name(),
            instance.name,
            instance.subnet
        ));
        names.push(instance.name.clone());
    }
    let (acme, globex) = (Client::of(fx, "acme"), Client::of(fx, "globex"));
    for (client, other) in [(&acme, &globex), (&globex, &acme)] {
        let (name, neighbour) = (client.name, other.name);
        printer.result(&format!("\nA pod in {name} pings {name}'s first node, {}:\n", client.node));
        let output = client.ping(client.node).await?;
        printer.result(&quoted(&output.stdout));
        if output.exit_code != 0 || !output.stdout.contains(" 0% packet loss") {
            return Err(DemoError::Control { client: name, output });
        }
        printer.done("the node answers: pods run, and ping works");
        printer.result(&format!("A pod in {name} pings {neighbour}'s first node, {}:\n", other.node));
        let output = client.ping(other.node).await?;
        printer.result(&quoted(&output.stdout));
        if !output.stdout.contains("UNREACHABLE") {
            return Err(DemoError::Leak { client: name, other: neighbour, output });
        }
        printer.done(&format!("the node does not answer: {name} cannot reach {neighbour}"));
    }
    printer.result(
        "\nBoth nodes answered the pods of their own cluster, so the network refuses the other pings.\n",
    );
    Ok(names)
}

/// One of the two clusters.
struct Client<'a> {
    name: &'static str,
    cluster: &'a TestCluster,
    node: Ipv4Addr,
}

impl<'a> Client<'a> {
    fn of(fx: &'a MultiClusterFixture, name: &'static str) -> Self {
        let cluster = fx.cluster(name);
        Self { name, cluster, node: cluster.nodes()[0].ip() } // a cluster has at least one node
    }

    async fn ping(&self, address: Ipv4Addr) -> Result<PodOutput, DemoError> {
        let ran = self.cluster.run_pod(ping(address)).await;
        ran.map_err(|source| DemoError::Pod { client: self.name, source })
    }
}

/// The lines of ping's output that show its result, indented.
fn quoted(stdout: &str) -> String {
    let lines = stdout.lines().filter(|line| line.contains("packet loss") || line.contains("UNREACHABLE"));
    lines.map(|line| format!("    {line}\n")).collect()
}

async fn nothing_is_left(app: &App, names: &[String]) -> Result<Exit, CliError> {
    let sightings = app.provisioner.engines().sightings_of(Some(EngineKind::Container)).await?;
    let left = sightings.iter().filter(|one| names.contains(&one.instance)).map(ToString::to_string);
    let entries = app.provisioner.registry().list()?;
    let entries = entries.iter().filter_map(|entry| entry.name());
    let entries =
        entries.filter(|name| names.iter().any(|ours| ours == name)).map(|name| format!("entry {name}"));
    let left: Vec<String> = left.chain(entries).collect();
    if !left.is_empty() {
        return Err(DemoError::Left(words::list(&left)).into());
    }
    app.printer
        .done("both are removed: no container, network namespace, link or registry entry of theirs is left");
    Ok(Exit::Ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_result_lines_of_a_ping_are_quoted() {
        let stdout =
            "PING 192.168.61.10\n\n3 packets transmitted, 0 received, 100% packet loss\nUNREACHABLE\n";
        let expected = "    3 packets transmitted, 0 received, 100% packet loss\n    UNREACHABLE\n";
        assert_eq!(quoted(stdout), expected);
    }
}
