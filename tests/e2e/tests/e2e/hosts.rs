//! Ordinary hosts: Debian with systemd, cgroup v2 only, AppArmor, a firewall service and a resolver on 127.0.0.53, each
//! a VM that QEMU emulates. On each host, the test runs an operator's commands and really reboots the host.
//!
//! `ci/hosts` makes their disks. The test runs in a separate network (`ci/alone`), so no packet leaves the host that
//! runs it.

mod journal;
mod media;
mod vm;

use std::collections::BTreeSet;

use anyhow::ensure;

use journal::Journal;
use vm::Vm;

/// A script that lists what a cluster could leave behind on a host, or remove from it.
const INVENTORY: &str = include_str!("../../hosts/inventory.sh");
/// A kubeconfig that the host has before homelab is installed.
const FOREIGN: &str = include_str!("../../hosts/kubeconfig.yaml");
/// The clients with their pod networks and the addresses of their API servers. Each has one node, because two emulated
/// CPUs carry no more.
const CLIENTS: [(&str, &str, &str); 2] =
    [("acme", "routed", "192.168.60.10"), ("globex", "cilium", "192.168.61.10")];

#[tokio::test]
async fn on_debian_12_two_clients_outlive_a_firewall_restart_and_a_reboot_and_leave_nothing()
-> anyhow::Result<()> {
    Vm::with("bookworm", async |host| goes_through(host, Journal::of(host).await?).await).await
}

#[tokio::test]
async fn on_debian_13_two_clients_outlive_a_firewall_restart_and_a_reboot_and_leave_nothing()
-> anyhow::Result<()> {
    Vm::with("trixie", async |host| goes_through(host, Journal::of(host).await?).await).await
}

async fn goes_through(host: &Vm, mut journal: Journal) -> anyhow::Result<()> {
    is_ordinary(host).await?;
    host.sh(&format!("mkdir -p ~/.kube && cat > ~/.kube/config <<'END'\n{FOREIGN}END\n")).await?;
    let before = inventory(host).await?;

    host.sh("mount -o ro /dev/disk/by-label/assets /mnt").await?;
    journal.step("assets import", host.homelab("assets import /mnt/node.tgz")).await?;
    host.sh("umount /mnt").await?;
    journal.step("doctor", host.homelab("doctor")).await?;

    for (name, cni, address) in CLIENTS {
        let up = format!("up {name} --topology k8s-single --cni {cni}");
        journal.step(&up, host.homelab(&up)).await?;
        journal.step("a pod finds a service, the host finds the API", works(host, name, address)).await?;
        host.homelab(&format!("kubectl {name} -- create configmap kept --from-literal=since=before")).await?;
        // An idle cluster keeps the emulated CPUs so busy that the next cluster would miss its deadlines.
        if name == "acme" {
            journal.step("pause acme", host.homelab("pause acme")).await?;
        }
    }
    let kept = async |name: &str| {
        host.homelab(&format!(
            "kubectl {name} -- get configmap kept --output jsonpath={{.metadata.uid}}{{.data}}"
        ))
        .await
    };
    let globex_kept = kept("globex").await?;
    journal.step("resume acme", host.homelab("resume acme")).await?;
    let acme_kept = kept("acme").await?;
    journal.step("audit acme globex", host.homelab("audit acme globex")).await?;

    journal.step("systemctl restart nftables", firewall_restarts(host)).await?;

    journal.step("halt acme", host.homelab("halt acme")).await?;
    journal.step("reboot", host.reboot()).await?;
    let list = host.homelab("instance list").await?;
    for (name, status) in [("acme", "halted"), ("globex", "off")] {
        let listed = list.lines().any(|line| line.starts_with(name) && line.contains(status));
        ensure!(listed, "{name} is not {status} after the reboot:\n{list}");
    }
    for ((name, _, address), before) in CLIENTS.into_iter().zip([acme_kept, globex_kept]) {
        let start = format!("start {name}");
        journal.step(&start, host.homelab(&start)).await?;
        let now = kept(name).await?;
        ensure!(now == before, "{name} had {before}, and has {now} after the reboot");
        journal.step("a pod finds a service, the host finds the API", works(host, name, address)).await?;
        if name == "acme" {
            host.homelab("pause acme").await?;
        }
    }

    journal.step("down --all", host.homelab("down --all")).await?;
    let after = inventory(host).await?;
    let new: Vec<_> = after.difference(&before).map(|thing| format!("+ {thing}")).collect();
    let gone: Vec<_> = before.difference(&after).map(|thing| format!("- {thing}")).collect();
    ensure!(new.is_empty() && gone.is_empty(), "the host differs:\n{}", [new, gone].concat().join("\n"));
    Ok(())
}

/// Fails unless the host is as this test describes it.
async fn is_ordinary(host: &Vm) -> anyhow::Result<()> {
    for (what, ask, expected) in [
        ("its first process", "cat /proc/1/comm", "systemd"),
        ("its cgroups", "stat --file-system --format %T /sys/fs/cgroup", "cgroup2fs"),
        ("AppArmor", "cat /sys/module/apparmor/parameters/enabled", "Y"),
        ("its resolver", "sed -n 's/^nameserver //p' /etc/resolv.conf", "127.0.0.53"),
        ("its services", "systemctl is-active nftables systemd-resolved | uniq", "active"),
    ] {
        let found = host.sh(ask).await?;
        ensure!(found.trim() == expected, "{what}: {found}");
    }
    Ok(())
}

/// A pod runs and resolves a service's name. The host resolves the API server's name, both by getaddrinfo(3) and by
/// systemd-resolved, and connects to it.
async fn works(host: &Vm, name: &str, address: &str) -> anyhow::Result<()> {
    let kubectl = format!("kubectl {name} --");
    // After `start`, the cluster's DNS comes up later than its API server.
    let ask = "--command -- sh -c 'until nslookup kubernetes.default.svc.cluster.local; do sleep 1; done'";
    let image = "--image homelab.invalid/toolbox:1 --restart Never";
    host.sh(&format!("homelab {kubectl} run ask {image} {ask}")).await?;
    let succeeded = "--for jsonpath={.status.phase}=Succeeded pod/ask --timeout 900s";
    host.homelab(&format!("{kubectl} wait {succeeded}")).await?;
    host.homelab(&format!("{kubectl} delete pod ask --now")).await?;

    let api = format!("api.{name}.lab");
    for ask in ["getent ahostsv4", "resolvectl query"] {
        let found = host.sh(&format!("{ask} {api}")).await?;
        ensure!(found.contains(address), "{ask} {api}: {found}");
    }
    host.sh(&format!("bash -c ': < /dev/tcp/{api}/6443'")).await?;
    Ok(())
}

/// A restart of the firewall removes the guard. `doctor` reports that, and the next verb restores it.
async fn firewall_restarts(host: &Vm) -> anyhow::Result<()> {
    host.sh("systemctl restart nftables").await?;
    let gone = host.sh("! nft list table inet homelab").await;
    ensure!(gone.is_ok(), "the restart of the firewall did not remove the guard");
    let told = host.refusal(4, "doctor").await?;
    ensure!(told.contains("the host guard"), "doctor does not mention the guard:\n{told}");
    let told = host.refusal(7, "status acme").await?;
    ensure!(told.contains("guard"), "status does not mention the guard:\n{told}");
    host.sh("nft list table inet homelab").await?;
    host.homelab("doctor").await?;
    Ok(())
}

async fn inventory(host: &Vm) -> anyhow::Result<BTreeSet<String>> {
    Ok(host.sh(INVENTORY).await?.lines().map(str::to_owned).collect())
}
