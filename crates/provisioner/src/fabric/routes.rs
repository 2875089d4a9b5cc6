//! The guard's routes: `unreachable` routes for the pools, so that no packet to a pool leaves the host by the default
//! route.
//!
//! The routes leave out the host's name servers. A name server may be in a pool's range and be reached by the default
//! route alone; an unreachable route over it would break all name resolution on the host while a cluster is up. A name
//! server with a route of its own would not need the gap, but a gap for each one is simpler than following the host's
//! routes. It is no risk: an instance never gets a block with a name server in it.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use futures::TryStreamExt;
use ipnet::Ipv4Net;
use rtnetlink::RouteMessageBuilder;
use rtnetlink::packet_route::route::{
    RouteAddress, RouteAttribute, RouteMessage, RouteProtocol, RouteScope, RouteType,
};

use super::FabricError;
use super::cable::{Namespace, is};

/// The protocol number that marks our routes. No known program uses it (rtnetlink(7): values above 4 are for users).
pub const PROTOCOL: u8 = 104;
/// The metric of our routes: any other route for the same range comes first.
const METRIC: u32 = 4_000_000_000;

/// Adds the routes for `pools`, and leaves gaps for the addresses of `kept_free` in all our routes. The caller holds
/// the guard's lock. May be repeated, also with other pools.
pub(super) async fn set(pools: &[Ipv4Net], kept_free: &BTreeSet<Ipv4Addr>) -> Result<(), FabricError> {
    let host = Namespace::host()?;
    let there: Vec<(Ipv4Net, RouteMessage)> =
        ours(&host).await?.into_iter().filter_map(|route| Some((destination(&route)?, route))).collect();
    let ranges: Vec<Ipv4Net> = there.iter().map(|(range, _)| *range).collect();
    let wanted = wanted(&ranges, pools, kept_free);
    // Add before remove, so that no address of a pool is without its route at any time.
    for range in wanted.iter().filter(|range| !ranges.contains(range)) {
        match host.netlink.route().add(unreachable(*range)).execute().await {
            Err(source) if !is(&source, rustix::io::Errno::EXIST) => {
                let object = format!("unreachable {range}");
                return Err(FabricError::Netlink { attempt: "add route", object, source });
            }
            _ => {}
        }
    }
    for (range, route) in there {
        if !wanted.contains(&range) {
            remove(&host, route).await?;
        }
    }
    Ok(())
}

/// The ranges that our routes make unreachable.
pub(super) async fn found() -> Result<Vec<Ipv4Net>, FabricError> {
    let host = Namespace::host()?;
    let all = ours(&host).await?.into_iter().filter(|route| route.header.kind == RouteType::Unreachable);
    Ok(all.filter_map(|route| destination(&route)).collect())
}

/// Removes all our routes, by their protocol number: the pools may have been others when the routes were set.
pub(super) async fn clear() -> Result<(), FabricError> {
    let host = Namespace::host()?;
    for route in ours(&host).await? {
        remove(&host, route).await?;
    }
    Ok(())
}

/// Whether a route has our protocol number.
pub(super) fn is_ours(route: &RouteMessage) -> bool {
    route.header.protocol == RouteProtocol::Other(PROTOCOL)
}

/// The destination of a route; `None` for a route without one, which is a default route.
pub(super) fn destination(route: &RouteMessage) -> Option<Ipv4Net> {
    let address = route.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Destination(RouteAddress::Inet(address)) => Some(*address),
        _ => None,
    });
    Ipv4Net::new(address?, route.header.destination_prefix_length).ok()
}

async fn ours(host: &Namespace) -> Result<Vec<RouteMessage>, FabricError> {
    let every = RouteMessageBuilder::<Ipv4Addr>::new().build();
    let routes: Result<Vec<RouteMessage>, _> = host.netlink.route().get(every).execute().try_collect().await;
    let routes = routes.map_err(|source| FabricError::Netlink {
        attempt: "list",
        object: "unreachable routes".to_owned(),
        source,
    })?;
    Ok(routes.into_iter().filter(is_ours).collect())
}

async fn remove(host: &Namespace, route: RouteMessage) -> Result<(), FabricError> {
    let object =
        destination(&route).map_or_else(|| "a route".to_owned(), |range| format!("unreachable {range}"));
    match host.netlink.route().del(route).execute().await {
        Err(source) if !is(&source, rustix::io::Errno::SRCH) => {
            Err(FabricError::Netlink { attempt: "remove route", object, source })
        }
        _ => Ok(()),
    }
}

/// The ranges that must be unreachable: `pools`, and the present ones (`there`), since instances of other homes may
/// need those. The addresses of `kept_free` are left out of all of them: a name server may be newer than a route. Pure.
pub(super) fn wanted(there: &[Ipv4Net], pools: &[Ipv4Net], kept_free: &BTreeSet<Ipv4Addr>) -> Vec<Ipv4Net> {
    let all = Ipv4Net::aggregate(&[there, pools].concat());
    all.into_iter().flat_map(|range| without(range, kept_free)).collect()
}

/// A range without some addresses, as the smallest possible number of networks. Pure.
///
/// A half without any of the addresses is kept as a whole; another half is halved again. No two results can be joined
/// to one network, since a network that is kept as a whole has a twin with an address in it.
fn without(range: Ipv4Net, addresses: &BTreeSet<Ipv4Addr>) -> Vec<Ipv4Net> {
    if addresses.range(range.network()..=range.broadcast()).next().is_none() {
        return vec![range];
    }
    // A range of one address has no halves.
    let halves = range.subnets(range.prefix_len() + 1).into_iter().flatten();
    halves.flat_map(|half| without(half, addresses)).collect()
}

/// `ip route add unreachable <range> metric <last> protocol <ours>`
fn unreachable(range: Ipv4Net) -> RouteMessage {
    RouteMessageBuilder::<Ipv4Addr>::new()
        .destination_prefix(range.network(), range.prefix_len())
        .kind(RouteType::Unreachable)
        .scope(RouteScope::Universe)
        .protocol(RouteProtocol::Other(PROTOCOL))
        .priority(METRIC)
        .build()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn net(text: &str) -> Ipv4Net {
        text.parse().expect("a network")
    }

    fn kept_free(texts: &[&str]) -> BTreeSet<Ipv4Addr> {
        texts.iter().map(|text| text.parse().expect("an address")).collect()
    }

    /// A range of at most 4096 addresses, and some addresses in it and around it.
    fn range_and_addresses() -> impl Strategy<Value = (Ipv4Net, BTreeSet<Ipv4Addr>)> {
        (any::<u32>(), 20..=32_u8).prop_flat_map(|(bits, size)| {
            let range = Ipv4Net::new_assert(bits.into(), size).trunc();
            let near = u32::from(range.network());
            let address =
                (0..8192_u32).prop_map(move |place| near.wrapping_add(place).wrapping_sub(2048).into());
            (Just(range), prop::collection::btree_set(address, 0..12))
        })
    }

    proptest! {
        #[test]
        fn a_range_without_some_addresses_has_all_others_exactly_once(
            (range, addresses) in range_and_addresses()
        ) {
            let parts = without(range, &addresses);
            let every = |net: &Ipv4Net| (u32::from(net.network())..=u32::from(net.broadcast())).map(Ipv4Addr::from);
            let left: Vec<Ipv4Addr> = parts.iter().flat_map(every).collect();
            let expected: Vec<Ipv4Addr> = every(&range).filter(|address| !addresses.contains(address)).collect();
            prop_assert_eq!(left, expected);
            prop_assert_eq!(Ipv4Net::aggregate(&parts), parts, "fewer networks would do");
        }
    }

    #[test]
    fn the_first_and_the_last_address_can_be_excluded_from_the_whole_address_space() {
        let parts = without(net("0.0.0.0/0"), &kept_free(&["0.0.0.0", "255.255.255.255"]));
        assert_eq!(parts.len(), 62);
        assert_eq!((parts[0], parts[61]), (net("0.0.0.1/32"), net("255.255.255.254/32")));
        assert_eq!(without(net("10.0.0.1/32"), &kept_free(&["10.0.0.1"])), []);
    }

    #[test]
    fn routes_that_are_too_wide_are_narrowed_and_those_of_other_pools_stay() {
        let none = kept_free(&[]);
        assert_eq!(wanted(&[], &[net("10.0.0.0/30")], &none), [net("10.0.0.0/30")]);
        let server = kept_free(&["10.0.0.2"]);
        let narrowed = [net("10.0.0.0/31"), net("10.0.0.3/32")];
        assert_eq!(wanted(&[net("10.0.0.0/30")], &[net("10.0.0.0/30")], &server), narrowed);
        // A repetition changes nothing; without the server, the gap is closed.
        assert_eq!(wanted(&narrowed, &[net("10.0.0.0/30")], &server), narrowed);
        assert_eq!(wanted(&narrowed, &[net("10.0.0.0/30")], &none), [net("10.0.0.0/30")]);
        // The route of another home's pool stays, with a gap for the server, too.
        let both = wanted(&[net("10.0.0.0/30")], &[net("172.16.0.0/12")], &server);
        assert_eq!(both, [narrowed[0], narrowed[1], net("172.16.0.0/12")]);
    }
}
