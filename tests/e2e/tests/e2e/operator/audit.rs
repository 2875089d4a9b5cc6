//! An operator audits two clients with the program, and keeps the reports.

use anyhow::{Context, ensure};
use harness::TestCluster;
use harness::audit::{AuditOutcome, AuditProgress, Report, Selection, SelfTestError, self_test};

use super::desk::Desk;

#[tokio::test]
async fn an_operator_audits_two_clients_keeps_every_format_and_finds_them_as_they_were() -> anyhow::Result<()>
{
    Desk::with(async |desk| {
        let [acme, globex] = ["acme", "globex"].map(|name| ["up", name, "--topology", "k8s-single"]);
        futures::try_join!(desk.homelab(&acme), desk.homelab(&globex))?;
        let out = desk.home().join("reports");
        let selected = ["audit", "acme", "globex", "--class", "N1", "--class", "N3", "--out", out.as_str()];
        let said = desk.homelab(&selected).await?;
        ensure!(said.contains("\nISOLATED: "), "the table has no verdict:\n{said}");

        let text = std::fs::read_to_string(out.join("audit.json"))?;
        let report = Report::from_json(&text)?;
        ensure!(report.json()? == text, "the JSON does not survive a round trip");
        ensure!(report.outcome == AuditOutcome::Isolated && report.instances == ["acme", "globex"]);
        let pairs = report.pairs.iter().filter(|pair| pair.counts.isolated > 0).count();
        ensure!(pairs == 2, "not both directions were asked: {:?}", report.pairs);
        let files = [
            ("audit.xml", report.junit()?),
            ("audit.tap", report.tap()),
            ("audit.md", report.markdown()),
            ("audit.html", report.html()?),
        ];
        for (file, expected) in &files {
            ensure!(std::fs::read_to_string(out.join(file))? == *expected, "{file} is of another run");
        }
        ensure!(out.read_dir_utf8()?.count() == 1 + files.len(), "the folder has other files");

        as_they_were(desk).await?;

        let code = desk.interrupted(&["audit", "acme", "globex"], "cells are sent").await?;
        ensure!(code == Some(130), "an interrupted audit ends with {code:?}");
        as_they_were(desk).await?;

        let provisioner = desk.provisioner()?;
        let attached = ["acme", "globex"].map(|name| TestCluster::attach(&provisioner, name));
        let clients = futures::future::try_join_all(attached).await?;
        let refused =
            self_test(&provisioner, &clients, &Selection::default(), &[], None, &AuditProgress::default())
                .await;
        let error = refused.err().context("the self-test ran between an operator's instances")?;
        ensure!(matches!(error, SelfTestError::Protected { .. }), "{error}");
        as_they_were(desk).await
    })
    .await
}

/// Fails if a client has a namespace of an audit.
async fn as_they_were(desk: &Desk) -> anyhow::Result<()> {
    for name in ["acme", "globex"] {
        let get = ["kubectl", name, "--", "get", "namespaces", "--output", "name"];
        let namespaces = desk.homelab(&get).await?;
        ensure!(namespaces.contains("kube-system"), "{name} does not list its namespaces: {namespaces}");
        ensure!(!namespaces.contains("homelab-audit"), "the audit is still in {name}: {namespaces}");
    }
    Ok(())
}
