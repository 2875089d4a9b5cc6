//! The networks that the host already uses. A new instance gets none of them.

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

/// All IPv4 networks of the host's addresses and routes, and the host's name servers, which may be reachable by the
/// default route alone. Left out are the guard's own routes, the default route, and routes that are too wide to matter
/// for the pools with these `ranges`, see [`is_in_the_way`]. Links for which `explained` returns `true` are left out,
/// too: they belong to an instance in the registry, whose networks are taken from there.
///
/// # Errors
/// [`FabricError`] when the kernel cannot be asked or the name servers cannot be read.
pub async fn networks(
    ranges: &[Ipv4Net],
    explained: impl Fn(&str) -> bool,
) -> Result<Vec<HostNetwork>, FabricError> {
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
    // The network of an address on a link is in use, however large it is.
    let addresses = addresses.filter(|network| network.net.prefix_len() > 0);

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
        (!is_ours(&route) && is_in_the_way(net, ranges)).then_some(HostNetwork { net, interface })
    });
    let links = addresses.chain(routes).filter(|network| !explained(&network.interface));
    let servers = nameservers::of_host()?.into_iter();
    let servers =
        servers.map(|server| HostNetwork { net: server.into(), interface: "a name server".to_owned() });
    Ok(links.chain(servers).collect())
}

/// Whether a route leads to a network that a new instance must not use. Pure.
///
/// A route with a shorter prefix than the range of each pool that it overlaps does not count. It says as little about
/// networks in use as the default route, and mostly is a part of one: OpenVPN's redirect-gateway sets 0.0.0.0/1 and
/// 128.0.0.0/1 so that its own default route wins, WireGuard's tools use smaller parts, and a company's VPN sets routes
/// for all of 10.0.0.0/8 or 192.168.0.0/16. A route that overlaps no pool counts, unless its prefix is shorter than
/// that of every pool's range.
fn is_in_the_way(route: Ipv4Net, ranges: &[Ipv4Net]) -> bool {
    let overlaps = |range: &&Ipv4Net| range.contains(&route) || route.contains(*range);
    let shortest = |ranges: &mut dyn Iterator<Item = &Ipv4Net>| ranges.map(Ipv4Net::prefix_len).min();
    let limit = shortest(&mut ranges.iter().filter(overlaps)).or_else(|| shortest(&mut ranges.iter()));
    route.prefix_len() >= limit.unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Pools;

    #[test]
    fn routes_much_wider_than_the_pools_do_not_block_them_and_narrower_ones_do() {
        let ranges = Pools::default().ranges();
        let judged = |routes: &[&str]| -> Vec<bool> {
            let nets = routes.iter().map(|text| text.parse().expect("a network"));
            nets.map(|net| is_in_the_way(net, &ranges)).collect()
        };
        let halves = ["0.0.0.0/0", "0.0.0.0/1", "128.0.0.0/1"];
        let quarters = ["0.0.0.0/2", "192.0.0.0/2", "192.0.0.0/3", "160.0.0.0/3", "8.0.0.0/5", "192.0.0.0/8"];
        let companies = ["10.0.0.0/8", "192.168.0.0/16", "10.224.0.0/11"];
        assert_eq!(judged(&halves), [false; 3]);
        assert_eq!(judged(&quarters), [false; 6]);
        assert_eq!(judged(&companies), [false; 3]);
        let networks = [
            "192.168.48.0/20",
            "192.168.60.0/24",
            "10.240.0.0/12",
            "10.244.0.0/14",
            "10.96.1.2/32",
            "10.232.0.0/18",
            "172.16.0.0/12",
            "172.17.0.0/16",
            "203.0.113.0/24",
        ];
        assert_eq!(judged(&networks), [true; 9]);
    }
}
