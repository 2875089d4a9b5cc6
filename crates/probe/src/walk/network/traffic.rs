//! Traffic control of a network namespace: queueing disciplines other than the kernel's defaults, and their filters.

use std::io;

use probe::structure::{Filter, Link, Qdisc};

use crate::packet::netlink::{after, attributes, i32_at, text, u32_at, within};
use crate::walk::netlink::Netlink;

const GETQDISC: u16 = 38;
const GETTFILTER: u16 = 46;
/// The length of `tcmsg`.
const FIXED: usize = 20;

/// All disciplines with a handle: the kernel's own defaults have none.
pub(super) fn qdiscs(route: &Netlink) -> io::Result<Vec<Qdisc>> {
    let read = |body: &[u8]| {
        let kind = after(body, FIXED).find(|(kind, _)| *kind == 1).map(|(_, value)| text(value));
        Some(Qdisc { link: u32_at(body, 4)?, handle: u32_at(body, 8)?, kind: kind.unwrap_or_default() })
    };
    let all = route.dump(GETQDISC, &[0; FIXED])?;
    Ok(all.iter().filter_map(|(_, body)| read(body)).filter(|qdisc| qdisc.handle != 0).collect())
}

/// The filters of these disciplines.
pub(super) fn filters(route: &Netlink, qdiscs: &[Qdisc], links: &[Link]) -> io::Result<Vec<Filter>> {
    // The hooks of `clsact`; `ingress` has the same handle, and one hook.
    const INGRESS: u32 = 0xffff_fff2;
    const EGRESS: u32 = 0xffff_fff3;
    let mut filters: Vec<Filter> = Vec::new();
    for qdisc in qdiscs.iter().filter(|qdisc| links.iter().any(|link| link.index == qdisc.link)) {
        let parents = match qdisc.kind.as_str() {
            "clsact" => vec![INGRESS, EGRESS],
            _ => vec![qdisc.handle],
        };
        for parent in parents {
            let mut request = [0; FIXED];
            request[4..8].copy_from_slice(&qdisc.link.to_ne_bytes());
            request[12..16].copy_from_slice(&parent.to_ne_bytes());
            // A discipline without classes has no filters, and the kernel answers with nothing or EOPNOTSUPP.
            match route.dump(GETTFILTER, &request) {
                Ok(all) => filters.extend(all.iter().map(|(_, body)| read(body, qdisc.link))),
                Err(error) if error.raw_os_error() == Some(95) => {}
                Err(error) => return Err(error),
            }
        }
    }
    filters.dedup();
    Ok(filters)
}

fn read(body: &[u8], link: u32) -> Filter {
    let of = |wanted| after(body, FIXED).find(|(kind, _)| *kind == wanted).map(|(_, value)| value);
    let mut filter = Filter { link, kind: of(1).map(text).unwrap_or_default(), ..Filter::default() };
    let Some(options) = of(2) else { return filter };
    let acts = match filter.kind.as_str() {
        "bpf" => {
            filter.program = within(options, 11).and_then(|id| u32_at(id, 0));
            filter.name = within(options, 7).map(text);
            1
        }
        "cgroup" => 1,
        "matchall" => 2,
        "flower" | "basic" => 3,
        "fw" => 4,
        "route" => 6,
        "u32" => 7,
        "flow" => 9,
        _ => return filter,
    };
    for (_, action) in within(options, acts).into_iter().flat_map(attributes) {
        let kind = within(action, 1).map(text).unwrap_or_default();
        if kind == "mirred" {
            // TCA_MIRRED_PARMS: five numbers of every action, the direction, the link.
            let parameters = within(action, 2).and_then(|options| within(options, 2));
            let to = parameters.and_then(|parameters| i32_at(parameters, 24));
            filter.to.extend(to.and_then(|to| u32::try_from(to).ok()));
        }
        filter.actions.push(kind);
    }
    filter
}
