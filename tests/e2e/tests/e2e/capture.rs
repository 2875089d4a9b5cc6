//! Captures, by tcpdump, all packets with a lab address that the host sees outside of the clients' links: packets that
//! would leave the host.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, ensure};
use harness::MultiClusterFixture;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

use crate::interrupt::interrupt;

/// How long tcpdump may take to start and to end.
const WITHIN: Duration = Duration::from_secs(10);

/// A running capture.
pub(crate) struct Capture {
    tcpdump: Child,
    packets: JoinHandle<Vec<String>>,
    summary: JoinHandle<Vec<String>>,
    /// The control: a capture on the clients' links, which ends with the first packet.
    control: Child,
}

impl Capture {
    /// Starts the capture, and returns when tcpdump listens.
    pub(crate) async fn begin(fx: &MultiClusterFixture) -> anyhow::Result<Self> {
        let plans = fx.clusters().iter().map(|cluster| &cluster.inner().plan);
        let networks = plans.clone().flat_map(|plan| [plan.subnet, plan.pod_cidr, plan.service_cidr]);
        let lab = joined(networks.map(|network| format!("net {network}")));
        let links =
            plans.map(|plan| std::fs::read_to_string(format!("/sys/class/net/{}/ifindex", plan.id.link())));
        let links: Vec<String> = links.collect::<Result<_, _>>().context("find the clients' links")?;
        let links = joined(links.iter().map(|index| format!("ifindex {}", index.trim())));
        let mut control = tcpdump(&["-c", "1"], &format!("({lab}) and ({links})"))?;
        listening(control.stderr.take()).await?;
        let mut tcpdump = tcpdump(&["-l"], &format!("({lab}) and not ({links})"))?;
        let summary = listening(tcpdump.stderr.take()).await?;
        let packets = gathered(tcpdump.stdout.take().context("a pipe")?);
        Ok(Self { tcpdump, packets, summary, control })
    }

    /// Ends the capture, and returns all packets that were not on a client's link. Packets on loopback do not leave the
    /// host.
    pub(crate) async fn end(mut self) -> anyhow::Result<Vec<String>> {
        let seen = tokio::time::timeout(WITHIN, self.control.wait()).await;
        ensure!(seen.context("the capture sees nothing on the clients' links")??.success(), "tcpdump fails");
        interrupt(&self.tcpdump).context("end tcpdump")?;
        tokio::time::timeout(WITHIN, self.tcpdump.wait()).await.context("tcpdump does not end")??;
        let summary = self.summary.await?.join("\n");
        ensure!(summary.contains("\n0 packets dropped by kernel"), "tcpdump has missed packets:\n{summary}");
        let stays = |packet: &String| packet.starts_with("lo ") || packet.starts_with("hl-");
        let packets = self.packets.await?.into_iter().filter(|line| !line.is_empty()); // the last one is empty
        Ok(packets.filter(|packet| !stays(packet)).collect())
    }
}

#[expect(clippy::disallowed_methods, reason = "a Runner waits for the end of what it runs")]
fn tcpdump(more: &[&str], filter: &str) -> anyhow::Result<Child> {
    Command::new("tcpdump")
        .args(["-i", "any", "-n", "-q", "-t"])
        .args(more)
        .arg(filter)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("run tcpdump")
}

/// Waits until tcpdump listens. Its later messages are collected by the returned task.
async fn listening(
    stderr: Option<impl AsyncRead + Unpin + Send + 'static>,
) -> anyhow::Result<JoinHandle<Vec<String>>> {
    let mut said = BufReader::new(stderr.context("a pipe")?);
    let begun = tokio::time::timeout(WITHIN, async {
        let mut all = String::new();
        while !all.contains("listening on") {
            ensure!(said.read_line(&mut all).await? > 0, "tcpdump does not listen: {all}");
        }
        Ok(())
    });
    begun.await.context("tcpdump does not start")??;
    Ok(gathered(said))
}

fn gathered(from: impl AsyncRead + Unpin + Send + 'static) -> JoinHandle<Vec<String>> {
    let mut lines = BufReader::new(from).lines();
    tokio::spawn(async move {
        let mut all = Vec::new();
        while let Ok(Some(line)) = lines.next_line().await {
            all.push(line);
        }
        all
    })
}

fn joined(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(" or ")
}
