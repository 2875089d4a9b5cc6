//! What the host uses for something else: a new instance keeps clear of it.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use futures::TryStreamExt;
use ipnet::Ipv4Net;
use rtnetlink::RouteMessageBuilder;
use rtnetlink::packet_route::address::AddressAttribute;
use rtnetlink::packet_route::link::LinkAttribute;
use rtnetlink::packet_route::route::{RouteAttribute, RouteMessage};

use crate::plan::HostNetwork;

use super::cable::Namespace;
use super::routes::{destination, is_ours};
use super::{FabricError, nameservers};

/// All IPv4 networks that the host's routes and addresses name, our own pool routes and the default route left
/// out, and the host's name servers, which the default route may lead to. `explained` says of a link whether an instance in the registry explains it; its networks are counted
/// there.
///
/// # Errors
/// [`FabricError`] when the kernel cannot be asked or the name servers cannot be read.
pub async fn networks(explained: impl Fn(&str) -> bool) -> Result<Vec<HostNetwork>, FabricError> {
    let host = Namespace::host()?;
    let failed = |what: &'static str| {
        move |source| FabricError::Netlink { attempt: "list", object: what.to_owned(), source }
    };
    let links: Vec<_> = host.netlink.link().get().execute().try_collect().await.map_err(failed("links"))?;
    let names: HashMap<u32, String> = links
        .into_iter()
        .filter_map(|link| {
            let name = link.attributes.iter().find_map(|attribute| match attribute {
                LinkAttribute::IfName(name) => Some(name.clone()),
                _ => None,
            });
            Some((link.header.index, name?))
        })
        .collect();
    let name_of = |index: u32| names.get(&index).cloned().unwrap_or_else(|| format!("link {index}"));

    let addresses: Vec<_> =
        host.netlink.address().get().execute().try_collect().await.map_err(failed("addresses"))?;
    let addresses = addresses.into_iter().filter_map(|message| {
        let address = message.attributes.iter().find_map(|attribute| match attribute {
            AddressAttribute::Address(std::net::IpAddr::V4(address)) => Some(*address),
            _ => None,
        });
        let net = Ipv4Net::new(address?, message.header.prefix_len).ok()?.trunc();
        Some(HostNetwork { net, interface: name_of(message.header.index) })
    });

    let every = RouteMessageBuilder::<Ipv4Addr>::new().build();
    let routes: Vec<RouteMessage> =
        host.netlink.route().get(every).execute().try_collect().await.map_err(failed("routes"))?;
    let routes = routes.into_iter().filter_map(|route| {
        let link = route.attributes.iter().find_map(|attribute| match attribute {
            RouteAttribute::Oif(index) => Some(*index),
            _ => None,
        });
        let net = destination(&route)?;
        let interface = link.map_or_else(|| "a route".to_owned(), name_of);
        (!is_ours(&route) && net.prefix_len() > 0).then_some(HostNetwork { net, interface })
    });
    let links = addresses.chain(routes).filter(|network| !explained(&network.interface));
    let servers = nameservers::of_host()?.into_iter();
    let servers =
        servers.map(|server| HostNetwork { net: server.into(), interface: "a name server".to_owned() });
    Ok(links.chain(servers).collect())
}
