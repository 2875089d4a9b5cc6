//! Injections on the host itself: its addresses, ports and settings, and objects left on it.

use provisioner::plan::InstanceId;

use super::changes::{Changes, command};
use super::{InjectError, Pair};

/// The port of the host that is forwarded to the target.
const PUBLISHED: u16 = 17443;

/// The host answers ARP requests of the source for addresses of the target.
pub(super) async fn proxy_arp(pair: &Pair<'_>, changes: &mut Changes) -> Result<(), InjectError> {
    let link = &pair.source_uplink()?.link;
    changes.set(&format!("ipv4/conf/{link}/forwarding"), "1").await?;
    changes.set(&format!("ipv4/conf/{link}/proxy_arp"), "1").await
}

/// Every address of the host answers the source, also those of other links.
pub(super) async fn weak(pair: &Pair<'_>, changes: &mut Changes) -> Result<(), InjectError> {
    let link = &pair.source_uplink()?.link;
    let rules = format!(
        "flush chain inet homelab prerouting\ninsert rule inet homelab input iifname \"{link}\" accept\n"
    );
    changes.change_guard(&rules).await
}

/// The host accepts connections of the source to the gateway's address.
pub(super) async fn open_input(pair: &Pair<'_>, changes: &mut Changes) -> Result<(), InjectError> {
    let link = &pair.source_uplink()?.link;
    changes.change_guard(&format!("insert rule inet homelab input iifname \"{link}\" accept\n")).await
}

/// A port of the host is forwarded to the target's API server.
pub(super) async fn publish_port(pair: &Pair<'_>, changes: &mut Changes) -> Result<(), InjectError> {
    let rules = format!(
        "add chain inet homelab injected {{ type nat hook prerouting priority dstnat; }}
        add rule inet homelab injected tcp dport {PUBLISHED} dnat ip to {}:{}\n",
        pair.target_api(),
        provisioner::plan::API_PORT
    );
    changes.change_guard(&rules).await
}

/// The source's link can reach 127.0.0.1 of the host.
pub(super) async fn route_localnet(pair: &Pair<'_>, changes: &mut Changes) -> Result<(), InjectError> {
    changes.set(&format!("ipv4/conf/{}/route_localnet", pair.source_uplink()?.link), "1").await
}

/// The host answers at the address of metadata services. The address is on the source's link, and is removed with it.
pub(super) async fn metadata(pair: &Pair<'_>, changes: &mut Changes) -> Result<(), InjectError> {
    const ADDRESS: &str = "169.254.169.254";
    let link = &pair.source_uplink()?.link;
    let words = |verb| command("ip", &["address", verb, &format!("{ADDRESS}/32"), "dev", link]);
    changes.on_host(&words("add"), words("del")).await?;
    let rule = format!("insert rule inet homelab input iifname \"{link}\" ip daddr {ADDRESS} accept\n");
    changes.change_guard(&rule).await
}

/// A veth pair of this name stays on the host.
pub(super) async fn link(changes: &mut Changes, name: &str) -> Result<(), InjectError> {
    let peer = format!("{name}-peer");
    let add = command("ip", &["link", "add", name, "type", "veth", "peer", "name", &peer]);
    changes.on_host(&add, command("ip", &["link", "del", name])).await
}

/// A link on the host belongs to an instance that is not in the registry.
pub(super) async fn stray(pair: &Pair<'_>, changes: &mut Changes) -> Result<(), InjectError> {
    let id = InstanceId { home: pair.from.inner().plan.id.home.clone(), name: "stray".to_owned() };
    let name = id.link();
    let add = command("ip", &["link", "add", &name, "type", "veth", "peer", "name", "stray-peer"]);
    changes.on_host(&add, command("ip", &["link", "del", &name])).await?;
    changes.ask(&command("ip", &["link", "set", &name, "alias", &id.scope()])).await.map(drop)
}
