//! An operator's work with two clients, by the program itself: every layer keeps them apart, and removing one client
//! leaves the other's data unchanged.

mod audit;
pub(crate) mod desk;
mod room;
mod service;

use std::collections::BTreeMap;

use anyhow::ensure;
use camino::Utf8Path;
use harness::inventory::Inventory;
use provisioner::Provisioner;
use provisioner::home::Home;

use crate::hostile;
use desk::Desk;

#[tokio::test]
async fn an_operator_works_with_two_clients_and_no_layer_mixes_them_up() -> anyhow::Result<()> {
    let provisioner = Provisioner::new(Home::from_env()?)?;
    let before = Inventory::take(&provisioner).await?;
    Desk::with(async |desk| {
        desk.homelab(&["up", "globex", "--topology", "k8s-single"]).await?;
        desk.homelab(&["k8s", "use-context", "globex"]).await?;
        desk.homelab(&["tls", "issue", "--instance", "globex", "app.globex.lab"]).await?;
        desk.homelab(&["tls", "trust", "--instance", "globex"]).await?;
        hostile::left_no_trace_in(&desk.provisioner()?, "globex").await?;
        let globex = layers(desk)?;

        desk.homelab(&["up", "acme", "--topology", "k8s-single"]).await?;
        contexts_lead_to_their_own_clusters(desk).await?;
        swapped_files_are_caught(desk).await?;
        names_are_recorded(desk)?;
        service::is_verified_by_its_own_clients_only(desk).await?;

        desk.homelab(&["k8s", "use-context", "globex"]).await?;
        desk.homelab(&["down", "acme"]).await?;
        for (layer, after) in layers(desk)? {
            ensure!(globex.get(&layer) == Some(&after), "{layer} of globex has changed: {after}");
        }
        ensure!(
            layers(desk)?.len() == globex.len(),
            "a file of globex is missing, or a file of acme is left"
        );
        let nodes = desk.kubectl(&["get", "nodes", "--output", "name"]).await?;
        ensure!(nodes == "node/globex-main\n", "globex has lost its nodes: {nodes}");
        nothing_goes_by_mistake(desk).await?;
        desk.homelab(&["down", "globex"]).await?;
        let merged = std::fs::read_to_string(desk.merged())?;
        ensure!(merged.contains("https://work.invalid:6443") && !merged.contains("globex"), "{merged}");
        let hosts = std::fs::read_to_string(desk.hosts())?;
        ensure!(hosts == "127.0.0.1 localhost\n", "the hosts file is not as before: {hosts}");
        Ok(())
    })
    .await?;
    let left = Inventory::take(&provisioner).await?.since(&before);
    ensure!(left.is_none(), "the host has changed:\n{}", left.map(|it| it.to_string()).unwrap_or_default());
    Ok(())
}

/// An unknown name is an error, and on a terminal `down` asks first.
async fn nothing_goes_by_mistake(desk: &Desk) -> anyhow::Result<()> {
    for name in ["acme", "globx"] {
        let said = desk.refusal(2, &["down", name]).await?;
        ensure!(said.contains(&format!("no instance '{name}'; there is only 'globex'")), "{said}");
    }
    desk.refusal(2, &["instance", "release", "globx"]).await?;
    let (code, seen) = desk.at_terminal(&["down", "globex"], "n\n").await?;
    ensure!(code == 130 && seen.contains("Take globex down? Its data will be lost. [y/N]"), "{code}: {seen}");
    let nodes = desk.kubectl(&["get", "nodes", "--output", "name"]).await?;
    ensure!(nodes == "node/globex-main\n", "globex has lost its nodes: {nodes}");
    Ok(())
}

/// All files of the five layers with their contents, for all instances. The nodes' own files are left out, because they
/// change by themselves, and so are logs, because they grow.
fn layers(desk: &Desk) -> anyhow::Result<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![desk.home(), "/usr/local/share/ca-certificates".into()];
    let mut files = vec![desk.merged(), desk.hosts()];
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir_utf8()? {
            let entry = entry?;
            match entry.path().file_name() {
                Some("nodes" | "events.jsonl") => {}
                _ if entry.file_type()?.is_dir() => folders.push(entry.path().to_owned()),
                _ => files.push(entry.path().to_owned()),
            }
        }
    }
    for file in files {
        let contents = String::from_utf8_lossy(&std::fs::read(&file)?).into_owned();
        found.insert(file.to_string(), contents);
    }
    Ok(found)
}

async fn contexts_lead_to_their_own_clusters(desk: &Desk) -> anyhow::Result<()> {
    for name in ["acme", "globex", "acme"] {
        let said = desk.homelab(&["k8s", "use-context", name]).await?;
        ensure!(said.contains("now has 3 contexts (work, globex, acme)"), "{said}");
        ensure!(desk.homelab(&["k8s", "current"]).await? == format!("{name}\n"));
        let nodes = desk.kubectl(&["get", "nodes", "--output", "name"]).await?;
        ensure!(nodes == format!("node/{name}-main\n"), "kubectl talks to another cluster: {nodes}");
    }
    Ok(())
}

async fn swapped_files_are_caught(desk: &Desk) -> anyhow::Result<()> {
    let [acme, globex] = ["acme", "globex"].map(|name| desk.instance(name).join("kubeconfig"));
    let own = std::fs::read_to_string(&acme)?;
    // globex's kubeconfig with acme's name: only server, authority and UID differ.
    let foreign = std::fs::read_to_string(&globex)?.replace("globex", "acme");
    let both = |said: &str| {
        said.contains("https://192.168.60.10:6443") && said.contains("https://192.168.61.10:6443")
    };
    replaced(&acme, &foreign, async || {
        let get = ["kubectl", "acme", "--", "get", "nodes"];
        ensure!(both(&desk.refusal(4, &get).await?), "kubectl's refusal does not show both values");
        ensure!(both(&desk.refusal(6, &["down", "acme"]).await?), "down's refusal does not show both values");
        Ok(())
    })
    .await?;
    let merged = std::fs::read_to_string(desk.merged())?;
    let bent = merged.replace("https://192.168.61.10:6443", "https://192.168.60.10:6443");
    replaced(&desk.merged(), &bent, async || {
        ensure!(
            both(&desk.refusal(4, &["k8s", "use-context", "acme"]).await?),
            "use-context's refusal does not show both values"
        );
        Ok(())
    })
    .await?;
    // The cluster itself is unchanged, and its nodes can restore the kubeconfig.
    std::fs::remove_file(&acme)?;
    desk.homelab(&["k8s", "kubeconfig", "acme", "--renew"]).await?;
    ensure!(std::fs::read_to_string(&acme)? == own, "the renewed kubeconfig differs from the first one");
    let nodes = desk.homelab(&["kubectl", "acme", "--", "get", "nodes", "--output", "name"]).await?;
    ensure!(nodes == "node/acme-main\n", "acme does not answer any more: {nodes}");
    Ok(())
}

/// Runs `meanwhile` while a file has other contents.
async fn replaced(
    path: &Utf8Path,
    contents: &str,
    meanwhile: impl AsyncFnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let own = std::fs::read_to_string(path)?;
    std::fs::write(path, contents)?;
    let outcome = meanwhile().await;
    std::fs::write(path, own)?;
    outcome
}

fn names_are_recorded(desk: &Desk) -> anyhow::Result<()> {
    let hosts = std::fs::read_to_string(desk.hosts())?;
    for line in ["192.168.60.10 api.globex.lab", "192.168.61.10 api.acme.lab"] {
        ensure!(hosts.lines().any(|there| there.starts_with(line)), "no line {line:?} in\n{hosts}");
    }
    Ok(())
}
