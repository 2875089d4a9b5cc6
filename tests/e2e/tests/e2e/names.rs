//! A real dnsmasq, queried by a real resolver, answers as the drop-ins say. These tests start no cluster.

mod image;
mod podman;
mod resolver;
mod witness;

use std::time::Duration;

use anyhow::{Context, ensure};
use camino::Utf8Path;
use harness::wait::{Wait, until};
use provisioner::dns::{Dns, Records};
use provisioner::exec::environment::OURS;
use provisioner::exec::{Command, Local, Runner};
use provisioner::home::Home;
use provisioner::plan::{ClusterPlan, Pools, Taken};
use provisioner::registry::Instance;
use provisioner::request::ClusterSpec;
use provisioner::slowdown::Slowdown;
use testcontainers::bollard::models::HostConfig;
use testcontainers::core::{AccessMode, Mount, WaitFor};
use testcontainers::runners::AsyncRunner;
use testcontainers::{ContainerAsync, GenericImage, ImageExt};
use tokio::signal::unix::{SignalKind, signal};

use podman::Podman;
use resolver::{NO_DATA, REFUSED, ask};
use witness::Witness;

use crate::claims::claimed;

/// Set in the process that uses podman's API. The value is the folder for its files.
const INSIDE: &str = "HOMELAB_E2E_INSIDE";

/// testcontainers finds its engine only by the environment, and a running process must not change its environment. So
/// this test starts podman's API, runs itself again with the API's address, and removes everything.
#[tokio::test]
async fn a_real_dnsmasq_answers_for_each_clients_names_and_does_not_forward_them() -> anyhow::Result<()> {
    if let Ok(folder) = std::env::var(INSIDE) {
        return dnsmasq_answers(&Utf8Path::new(&folder).join("drop-ins")).await;
    }
    let folder = tempfile::tempdir()?;
    let archive = image::archive(Home::from_env()?.cache()).await?;
    let podman = Podman::serve(Utf8Path::from_path(folder.path()).context("a path that is text")?).await?;
    let mut terminated = signal(SignalKind::terminate())?;
    let outcome = tokio::select! {
        outcome = inside(&podman, &archive) => outcome,
        _ = terminated.recv() => Err(anyhow::anyhow!("stopped by SIGTERM")),
    };
    let ended = podman.end().await;
    outcome?; // before `ended`, whose error it may explain
    ended
}

/// Runs this test again in a process with podman's API.
async fn inside(podman: &Podman, archive: &Utf8Path) -> anyhow::Result<()> {
    podman.import(archive, image::NAME).await?;
    let name = "names::a_real_dnsmasq_answers_for_each_clients_names_and_does_not_forward_them";
    let program = std::env::current_exe()?;
    let again = Command::within(Duration::from_secs(90), program.to_string_lossy())
        .args([name, "--exact", "--nocapture"])
        .keeping(OURS.iter().copied())
        .env(INSIDE, podman.folder())
        .env("DOCKER_HOST", podman.address());
    let output = Local.run(&again).await?;
    ensure!(output.text().contains("1 passed"), "the test did not run itself once: {}", output.text());
    Ok(())
}

async fn dnsmasq_answers(drop_ins: &Utf8Path) -> anyhow::Result<()> {
    std::fs::create_dir(drop_ins)?;
    let home = Home::at("/nowhere/homelab");
    let dns = Dns::Dnsmasq { folder: drop_ins.to_owned(), restart: None };
    let (acme, globex) = clients(&home)?;
    let witness = Witness::listen().await?;
    dns.add(&acme)?;
    let server = Dnsmasq::start(drop_ins, &witness).await?;

    let (api, workloads) = (acme.api_address.to_string(), acme.workload_address.to_string());
    let expected = [
        ("api.acme.lab.", "A", api.as_str()),
        ("acme.lab.", "A", &workloads),
        ("app.acme.lab.", "A", &workloads),
        ("deep.app.acme.lab.", "A", &workloads),
        ("deep.api.acme.lab.", "A", &workloads),
        ("api.acme.lab.", "AAAA", NO_DATA),
        ("app.acme.lab.", "AAAA", NO_DATA),
        ("app.acme.lab.", "TXT", NO_DATA),
    ];
    server.answers(&expected).await?;
    ensure!(witness.asked().is_empty(), "queries for acme's names were forwarded: {:?}", witness.asked());
    // The control: names that dnsmasq does not know are forwarded, so that no forwarded query for acme means something.
    server.answers(&[("x.globex.lab.", "A", REFUSED), ("example.org.", "A", REFUSED)]).await?;
    let asked = witness.asked();
    ensure!(
        asked.contains(&"x.globex.lab".to_owned()) && asked.contains(&"example.org".to_owned()),
        "{asked:?}"
    );

    dns.add(&globex)?;
    server.answers(&[("x.globex.lab.", "A", REFUSED)]).await?; // dnsmasq reads drop-ins only when it starts
    server.restart().await?;
    let theirs = globex.workload_address.to_string();
    server.answers(&[("x.globex.lab.", "A", &theirs), ("app.acme.lab.", "A", &workloads)]).await?;

    ensure!(dns.remove(&home, "acme")?, "there was no drop-in to remove");
    server.restart().await?;
    server.answers(&[("app.acme.lab.", "A", REFUSED), ("x.globex.lab.", "A", &theirs)]).await?;
    Ok(server.container.rm().await?)
}

/// The names of two clients.
fn clients(home: &Home) -> anyhow::Result<(Records, Records)> {
    let claim = |name: &str, instances: Vec<Instance>| {
        let taken = Taken { instances, ..Taken::default() };
        anyhow::Ok(claimed(&ClusterSpec::new(name).check()?, &taken, &Pools::default())?)
    };
    let acme = claim("acme", Vec::new())?;
    let globex = claim("globex", vec![acme.clone()])?;
    let records = |instance: &Instance| Records::of(&ClusterPlan::of(instance, home));
    Ok((records(&acme), records(&globex)))
}

/// A dnsmasq on a port of 127.0.0.1.
struct Dnsmasq {
    container: ContainerAsync<GenericImage>,
    port: u16,
}

impl Dnsmasq {
    /// Starts dnsmasq on the host's network: a podman network would enable forwarding on the host.
    async fn start(drop_ins: &Utf8Path, upstream: &Witness) -> anyhow::Result<Self> {
        let port = resolver::free_port().await?;
        let (port_option, server) =
            (format!("--port={port}"), format!("--server=127.0.0.1#{}", upstream.port()));
        let (name, tag) = image::NAME.split_once(':').context("a name with a tag")?;
        let drop_ins =
            Mount::bind_mount(drop_ins.as_str(), "/drop-ins").with_access_mode(AccessMode::ReadOnly);
        let image =
            GenericImage::new(name, tag).with_wait_for(WaitFor::message_on_stderr("started, version"));
        let command = [
            // Ends dnsmasq even if the test and podman are killed.
            "/usr/bin/timeout",
            "120",
            "/usr/sbin/dnsmasq",
            "--no-daemon",
            "--user=",
            "--pid-file=",
            "--conf-file=/dev/null",
            "--conf-dir=/drop-ins",
            "--no-hosts",
            "--no-resolv",
            &server,
            "--listen-address=127.0.0.1",
            "--bind-interfaces",
            &port_option,
        ];
        let on_the_host = |host: &mut HostConfig| {
            // `with_network` would create a network with this name.
            (host.network_mode, host.publish_all_ports) = (Some("host".to_owned()), None);
        };
        let container = image.with_mount(drop_ins).with_cmd(command).with_host_config_modifier(on_the_host);
        let container = container.start().await?;
        Ok(Self { container, port })
    }

    async fn restart(&self) -> anyhow::Result<()> {
        self.container.stop_with_timeout(Some(5)).await?;
        self.container.start().await?;
        let ready = until(
            "dnsmasq to answer again",
            Slowdown::of_host().stretch(Duration::from_secs(20)),
            async || {
                let answer = ask(self.port, "example.org.", "A").await;
                Ok::<_, std::io::Error>(if answer == REFUSED { Wait::Done(()) } else { Wait::NotYet(answer) })
            },
        );
        Ok(ready.await?)
    }

    async fn answers(&self, expected: &[(&str, &str, &str)]) -> anyhow::Result<()> {
        for (name, kind, answer) in expected {
            let found = ask(self.port, name, kind).await;
            ensure!(found == *answer, "{name} {kind}: {found} instead of {answer}");
        }
        Ok(())
    }
}
