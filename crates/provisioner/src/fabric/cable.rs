//! Makes, changes and removes bridges, cables (veth pairs) and addresses, by netlink.

use std::collections::BTreeSet;
use std::fs;
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;

use futures::TryStreamExt;
use rtnetlink::packet_route::link::{InfoKind, LinkAttribute, LinkInfo, LinkMessage};
use rtnetlink::{Handle, LinkBridge, LinkMessageBuilder, LinkUnspec, LinkVeth};

use super::guard::{self, LINK_PREFIX};
use super::{FabricError, netns};

/// The name of the bridge in a switch's namespace.
const BRIDGE: &str = "br0";
/// The name of the bridge's port towards the host.
const UPLINK: &str = "uplink";
/// The name of the link in a node's namespace.
const NODE_LINK: &str = "eth0";

/// Makes the bridge of a switch.
pub(super) async fn make_bridge(switch: &str) -> Result<(), FabricError> {
    // The switch only forwards frames. With an IPv6 stack, its namespace would answer neighbour solicitations.
    settings_within(switch, &[("ipv6/conf/all/disable_ipv6", "1"), ("ipv6/conf/default/disable_ipv6", "1")])
        .await?;
    let ns = Namespace::open(switch).await?;
    if ns.find(BRIDGE).await?.is_none() {
        ns.add(BRIDGE, LinkBridge::new(BRIDGE).build()).await?;
    }
    ns.up(BRIDGE).await
}

/// Makes the cable from the host to the switch; the host's end gets the gateway's address. The guard's lock is held.
pub(super) async fn plug_host(
    switch: &str,
    link: &str,
    address: Ipv4Addr,
    prefix: u8,
) -> Result<(), FabricError> {
    let host = Namespace::host()?;
    if host.find(link).await?.is_none() {
        let ns = Namespace::open(switch).await?;
        // The pair is made in the switch's namespace, so that its inner end is never on the host.
        ns.add(UPLINK, LinkVeth::new(UPLINK, link).build()).await?;
        let outside = fs::File::open("/proc/self/ns/net").map_err(|source| FabricError::Namespace {
            attempt: "enter",
            name: "of the host".to_owned(),
            source,
        })?;
        ns.change("move link", link, |change| change.setns_by_fd(outside.as_raw_fd())).await?;
    }
    guard::close(link)?;
    host.change("name the owner of link", link, |change| change.alias(switch)).await?;
    host.address(link, address, prefix).await?;
    host.up(link).await?;
    let ns = Namespace::open(switch).await?;
    ns.plug_into_bridge(UPLINK).await
}

/// Makes the cable from a node to its switch; the node's end is `eth0`.
pub(super) async fn plug_node(
    switch: &str,
    node: &str,
    address: Ipv4Addr,
    prefix: u8,
) -> Result<(), FabricError> {
    let inside = Namespace::open(node).await?;
    let port = port(address);
    let ns = Namespace::open(switch).await?;
    if inside.find(NODE_LINK).await?.is_none() {
        let end = format!("end-{}", address.octets()[3]);
        ns.add(&port, LinkVeth::new(&port, &end).build()).await?;
        let pin = netns::path(node);
        let target = fs::File::open(&pin).map_err(|source| FabricError::Namespace {
            attempt: "enter",
            name: node.to_owned(),
            source,
        })?;
        ns.change("move link", &end, |change| change.setns_by_fd(target.as_raw_fd()).name(NODE_LINK)).await?;
    }
    // A node forwards packets between its pods and its link.
    settings_within(node, &[("ipv4/ip_forward", "1")]).await?;
    inside.up("lo").await?;
    inside.address(NODE_LINK, address, prefix).await?;
    inside.up(NODE_LINK).await?;
    ns.plug_into_bridge(&port).await
}

/// Removes the switch's end of a node's cable, and with it the node's end. The kernel also removes the cable with the
/// node's namespace, but later, and until then the port's name is taken for the next node with this address.
pub(super) async fn unplug_node(switch: &str, address: Ipv4Addr) -> Result<(), FabricError> {
    Namespace::open(switch).await?.remove(&port(address)).await
}

/// Removes the host's end of a cable, and with it the switch's end.
pub(super) async fn remove_host_link(link: &str) -> Result<(), FabricError> {
    Namespace::host()?.remove(link).await
}

/// The name of the bridge's port towards the node with this address, such as `port-11`.
fn port(address: Ipv4Addr) -> String {
    format!("port-{}", address.octets()[3])
}

/// Our links on the host, each with its alias: the name of the switch that it leads to.
pub(super) async fn host_links() -> Result<Vec<(String, Option<String>)>, FabricError> {
    let ours = all_links().await?.into_iter().filter_map(|link| {
        let name = name_of(&link).filter(|name| name.starts_with(LINK_PREFIX))?;
        let alias = link.attributes.iter().find_map(|attribute| match attribute {
            LinkAttribute::IfAlias(alias) => Some(alias.clone()),
            _ => None,
        });
        Some((name, alias))
    });
    Ok(ours.collect())
}

/// The name of the host's link with this index; `None` if there is none.
pub(super) async fn link_of_index(index: u32) -> Result<Option<String>, FabricError> {
    let host = Namespace::host()?;
    let answer = host.netlink.link().get().match_index(index).execute().try_next().await;
    match answer {
        Ok(found) => Ok(found.as_ref().and_then(name_of)),
        Err(error) if is(&error, rustix::io::Errno::NODEV) => Ok(None),
        Err(error) => Err(host.failed("find link", &index.to_string())(error)),
    }
}

/// The names of all links on the host.
pub(super) async fn link_names() -> Result<BTreeSet<String>, FabricError> {
    Ok(all_links().await?.iter().filter_map(name_of).collect())
}

/// All links on the host, each with whether it is a bridge.
pub(super) async fn all_with_bridges() -> Result<Vec<(String, bool)>, FabricError> {
    let links = all_links().await?.into_iter().filter_map(|link| {
        let is_bridge = link.attributes.iter().any(|attribute| match attribute {
            LinkAttribute::LinkInfo(info) => info.contains(&LinkInfo::Kind(InfoKind::Bridge)),
            _ => false,
        });
        Some((name_of(&link)?, is_bridge))
    });
    Ok(links.collect())
}

async fn all_links() -> Result<Vec<LinkMessage>, FabricError> {
    let host = Namespace::host()?;
    host.netlink.link().get().execute().try_collect().await.map_err(host.failed("list", "links"))
}

fn name_of(link: &LinkMessage) -> Option<String> {
    link.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::IfName(name) => Some(name.clone()),
        _ => None,
    })
}

/// A netlink socket in a namespace. Its connection runs on the ordinary runtime.
#[derive(Debug)]
pub(super) struct Namespace {
    name: String,
    pub(super) netlink: Handle,
}

impl Namespace {
    pub(super) fn host() -> Result<Self, FabricError> {
        let name = "the host".to_owned();
        let (connection, netlink, _) = rtnetlink::new_connection()
            .map_err(|source| FabricError::Namespace { attempt: "enter", name: name.clone(), source })?;
        tokio::spawn(connection);
        Ok(Self { name, netlink })
    }

    async fn open(name: &str) -> Result<Self, FabricError> {
        let (connection, netlink, _) = netns::within(name, rtnetlink::new_connection).await?;
        tokio::spawn(connection);
        Ok(Self { name: name.to_owned(), netlink })
    }

    fn failed(&self, attempt: &'static str, object: &str) -> impl FnOnce(rtnetlink::Error) -> FabricError {
        let object = format!("{object} in {}", self.name);
        move |source| FabricError::Netlink { attempt, object, source }
    }

    /// `ip link show <link>`: the index of the link, or `None` if there is no such link.
    async fn find(&self, link: &str) -> Result<Option<u32>, FabricError> {
        let answer = self.netlink.link().get().match_name(link.to_owned()).execute().try_next().await;
        match answer {
            Ok(found) => Ok(found.map(|link| link.header.index)),
            Err(error) if is(&error, rustix::io::Errno::NODEV) => Ok(None),
            Err(error) => Err(self.failed("find link", link)(error)),
        }
    }

    async fn index(&self, link: &str) -> Result<u32, FabricError> {
        let missing = || FabricError::Missing { name: link.to_owned(), place: self.name.clone() };
        self.find(link).await?.ok_or_else(missing)
    }

    async fn add(&self, link: &str, message: LinkMessage) -> Result<(), FabricError> {
        self.netlink.link().add(message).execute().await.map_err(self.failed("add link", link))
    }

    /// `ip link del <link>`. No error if there is no such link, or the kernel removes the link at this moment.
    async fn remove(&self, link: &str) -> Result<(), FabricError> {
        let Some(index) = self.find(link).await? else { return Ok(()) };
        match self.netlink.link().del(index).execute().await {
            Err(error) if !is(&error, rustix::io::Errno::NODEV) => {
                Err(self.failed("remove link", link)(error))
            }
            _ => Ok(()),
        }
    }

    /// `ip link set <link> …`
    async fn change(
        &self,
        attempt: &'static str,
        link: &str,
        change: impl FnOnce(LinkMessageBuilder<LinkUnspec>) -> LinkMessageBuilder<LinkUnspec>,
    ) -> Result<(), FabricError> {
        let message = change(LinkUnspec::new_with_index(self.index(link).await?)).build();
        self.netlink.link().change(message).execute().await.map_err(self.failed(attempt, link))
    }

    /// `ip link set <link> up`
    async fn up(&self, link: &str) -> Result<(), FabricError> {
        self.change("raise link", link, LinkMessageBuilder::up).await
    }

    /// `ip link set <link> master br0 up`
    async fn plug_into_bridge(&self, link: &str) -> Result<(), FabricError> {
        let bridge = self.index(BRIDGE).await?;
        self.change("plug link", link, |change| change.controller(bridge).up()).await
    }

    /// `ip address replace <address>/<prefix> dev <link>`
    async fn address(&self, link: &str, address: Ipv4Addr, prefix: u8) -> Result<(), FabricError> {
        let index = self.index(link).await?;
        let request = self.netlink.address().add(index, address.into(), prefix).replace();
        request.execute().await.map_err(self.failed("add address", &format!("{address}/{prefix} to {link}")))
    }
}

/// Whether the kernel answered with this errno.
pub(super) fn is(error: &rtnetlink::Error, errno: rustix::io::Errno) -> bool {
    matches!(error, rtnetlink::Error::NetlinkError(message)
        if message.code.is_some_and(|code| code.get() == -errno.raw_os_error()))
}

/// Writes kernel settings of a namespace; the keys are paths below `/proc/sys/net`.
async fn settings_within(name: &str, all: &'static [(&str, &str)]) -> Result<(), FabricError> {
    let all = all.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    netns::within(name, move || Ok(guard::write_settings(&all))).await?
}
