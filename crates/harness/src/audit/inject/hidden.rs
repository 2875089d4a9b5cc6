//! Injections that no probe of a usual kind finds: objects that open a path only for the one who knows of them, or only
//! once they are switched on.

use std::os::unix::fs::PermissionsExt;

use camino::Utf8PathBuf;
use provisioner::assets;
use provisioner::fabric::namespace_path;
use provisioner::plan::API_PORT;

use super::bind_mount::bind_mount;
use super::cable::last;
use super::changes::{Changes, command};
use super::switch::within;
use super::{InjectError, Pair};
use crate::cluster::TestCluster;

/// Where the relay listens.
const RELAY_PORT: u16 = 17444;

/// The guard accepts a port that no class asks alone.
pub(super) async fn open_guard(pair: &Pair<'_>, changes: &mut Changes) -> Result<(), InjectError> {
    let (from, to) = (&pair.source_uplink()?.link, &pair.target_uplink()?.link);
    let rule =
        format!("insert rule inet homelab forward iifname \"{from}\" oifname \"{to}\" udp dport 9 accept\n");
    changes.change_guard(&rule).await
}

/// A cable between two nodes that is never switched on.
pub(super) async fn link(pair: &Pair<'_>, changes: &mut Changes) -> Result<(), InjectError> {
    let (here, there) = (namespace(pair.from)?, namespace_path(&namespace(pair.to)?).to_string());
    let add = ["link", "add", "lo0", "type", "veth", "peer", "name", "lo0", "netns", &there];
    changes.on_host(&within(&here, "ip", &add), within(&here, "ip", &["link", "del", "lo0"])).await
}

/// A node of the source has an address of the target's network.
pub(super) async fn address(pair: &Pair<'_>, changes: &mut Changes) -> Result<(), InjectError> {
    let address = format!("{}/32", pair.target_api());
    let words =
        |verb| command("ip", &["address", verb, &address, "dev", pair.from.inner().plan.platform.link]);
    changes.on_node(last(pair.from)?, &words("add"), words("del")).await
}

/// The host answers on the source's link for one address of the target.
pub(super) async fn proxy_neighbour(pair: &Pair<'_>, changes: &mut Changes) -> Result<(), InjectError> {
    let (address, link) = (pair.target_api().to_string(), &pair.source_uplink()?.link);
    let words = |verb| command("ip", &["neigh", verb, "proxy", &address, "dev", link]);
    changes.on_host(&words("add"), words("del")).await
}

/// A filter copies each frame that arrives on the source's link to the target's link.
pub(super) async fn mirrored_link(pair: &Pair<'_>, changes: &mut Changes) -> Result<(), InjectError> {
    let (from, to) = (pair.source_uplink()?.link.as_str(), pair.target_uplink()?.link.as_str());
    let qdisc = |verb| command("tc", &["qdisc", verb, "dev", from, "ingress"]);
    changes.on_host(&qdisc("add"), qdisc("del")).await?;
    let every = ["u32", "match", "u32", "0", "0", "action", "mirred", "egress", "mirror", "dev", to];
    let filter = [&["filter", "add", "dev", from, "parent", "ffff:", "protocol", "all"][..], &every].concat();
    changes.ask(&command("tc", &filter)).await.map(drop)
}

/// A process in the network namespace of a source's node has that of a target's node open.
pub(super) async fn planted_process(pair: &Pair<'_>, changes: &mut Changes) -> Result<(), InjectError> {
    let enter = format!("--net={}", namespace_path(&namespace(pair.from)?));
    let other = namespace_path(&namespace(pair.to)?).to_string();
    changes.start("process", &["nsenter", &enter, "sh", "-c", "exec 3<\"$0\"; exec sleep 600", &other]).await
}

/// A process of the host listens at the source's gateway, and its command line has an address of the target, as that of
/// every relay has.
pub(super) async fn relay(pair: &Pair<'_>, changes: &mut Changes) -> Result<(), InjectError> {
    let program = std::env::temp_dir().join(format!("homelab-relay-{}", std::process::id()));
    let program = Utf8PathBuf::from_path_buf(program).unwrap_or_default();
    changes.make(&program, |path| {
        std::fs::write(path, assets::PROBE)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700))
    })?;
    let (near, far) = (
        format!("{}:{RELAY_PORT}", pair.source_uplink()?.gateway),
        format!("{}:{API_PORT}", pair.target_api()),
    );
    let witness = ["timeout", "600", program.as_str(), "witness", "--identity", &far, "--tcp", &near];
    changes.start("relay", &witness).await
}

/// A table of its own sends packets from the source's link to the target.
pub(super) async fn nat(pair: &Pair<'_>, changes: &mut Changes) -> Result<(), InjectError> {
    let rules = format!(
        "table ip injected {{\n chain pre {{\n type nat hook prerouting priority dstnat;\n \
         iifname \"{}\" udp dport 9 dnat to {}\n }}\n}}\n",
        pair.source_uplink()?.link,
        pair.target_api()
    );
    let gone = "table ip injected\ndelete table ip injected\n".to_owned();
    let nft = |rules: String| command("nft", &["-f", "-"]).input(rules);
    changes.on_host(&nft(rules), nft(gone)).await
}

/// Files of a target's node are mounted in a source's node.
pub(super) async fn mount(pair: &Pair<'_>, changes: &mut Changes) -> Result<(), InjectError> {
    bind_mount(pair, changes, ("/var/lib", last(pair.to)?), ("/mnt/injected", last(pair.from)?)).await
}

/// A cgroup of a target's node is mounted in a source's node: of the pids controller, or the unified one.
pub(super) async fn cgroup(pair: &Pair<'_>, changes: &mut Changes) -> Result<(), InjectError> {
    let node = last(pair.to)?;
    let find = "test -d /sys/fs/cgroup/pids && echo /sys/fs/cgroup/pids || echo /sys/fs/cgroup";
    let what = node.run(&command("sh", &["-c", find])).await?.text();
    bind_mount(pair, changes, (what.trim(), node), ("/mnt/injected", last(pair.from)?)).await
}

/// The name of the network namespace of a cluster's last node.
fn namespace(of: &TestCluster) -> Result<String, InjectError> {
    Ok(of.inner().plan.id.node_scope(last(of)?.real_name()))
}
