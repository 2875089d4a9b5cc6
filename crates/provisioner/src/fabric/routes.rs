//! The guard's routes: `unreachable` ones keep addresses of the pools from ever leaving by the default route.
//!
//! They leave the host's name servers out. A name server may lie in a pool and be reached by the default route alone;
//! an unreachable route over it takes every name from the whole workstation for as long as a cluster is up. Those
//! with a route of their own would not need it, but nobody has to follow the host's routes to find out which these
//! are, and no instance gets a block with a name server in it: the address is never one of ours.

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

/// The mark of our routes: a protocol number that nobody else uses (rtnetlink(7): above 4 is up to users).
const PROTOCOL: u8 = 104;
/// Behind every other route for the same range.
const METRIC: u32 = 4_000_000_000;

/// Makes our routes those that `pools` want; the guard's lock is held. May be repeated, with other pools too.
pub(super) async fn set(pools: &[Ipv4Net], kept_free: &BTreeSet<Ipv4Addr>) -> Result<(), FabricError> {
    let host = Namespace::host()?;
    let there: Vec<(Ipv4Net, RouteMessage)> =
        ours(&host).await?.into_iter().filter_map(|route| Some((destination(&route)?, route))).collect();
    let ranges: Vec<Ipv4Net> = there.iter().map(|(range, _)| *range).collect();
    let wanted = wanted(&ranges, pools, kept_free);
    // First what is missing: no address of a pool is without a route at any time.
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

/// Takes all of our routes away. They go by their mark: pools may have been other ones when they were set.
pub(super) async fn clear() -> Result<(), FabricError> {
    let host = Namespace::host()?;
    for route in ours(&host).await? {
        remove(&host, route).await?;
    }
    Ok(())
}

/// Whether a route carries our mark.
pub(super) fn is_ours(route: &RouteMessage) -> bool {
    route.header.protocol == RouteProtocol::Other(PROTOCOL)
}

/// Where a route leads to; the default route leads nowhere in particular.
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

/// The ranges to be unreachable. Those that `there` are stay, other homes' instances may still need them, but for the
/// addresses to keep free: a name server may be newer than a route. Pure.
pub(super) fn wanted(there: &[Ipv4Net], pools: &[Ipv4Net], kept_free: &BTreeSet<Ipv4Addr>) -> Vec<Ipv4Net> {
    let all = Ipv4Net::aggregate(&[there, pools].concat());
    all.into_iter().flat_map(|range| without(range, kept_free)).collect()
}

/// A range without some addresses, as the fewest networks that there can be. Pure.
///
/// A half with none of them is whole; any other is halved again, and as its twin is not whole either, no two parts
/// ever make up a network.
fn without(range: Ipv4Net, addresses: &BTreeSet<Ipv4Addr>) -> Vec<Ipv4Net> {
    if addresses.range(range.network()..=range.broadcast()).next().is_none() {
        return vec![range];
    }
    // An address alone has no halves.
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
        fn what_is_left_of_a_range_is_all_of_it_but_the_addresses_and_nothing_twice(
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
    fn the_whole_address_space_can_lack_its_ends() {
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
        // Repeating it changes nothing; a server that is gone leaves no hole.
        assert_eq!(wanted(&narrowed, &[net("10.0.0.0/30")], &server), narrowed);
        assert_eq!(wanted(&narrowed, &[net("10.0.0.0/30")], &none), [net("10.0.0.0/30")]);
        // Another home's pool: its route stays, and lets the server free as well.
        let both = wanted(&[net("10.0.0.0/30")], &[net("172.16.0.0/12")], &server);
        assert_eq!(both, [narrowed[0], narrowed[1], net("172.16.0.0/12")]);
    }
}
