//! Reads the section `pools`: the ranges from which networks are allocated. Pure.

use std::ops::RangeInclusive;

use ipnet::Ipv4Net;
use serde_json::Value;

use crate::plan::{Pool, Pools};

use super::fields::{Fields, network};

/// Prefix lengths of a subnet: a /27 has addresses for a control plane and ten workers, and no instance needs more than
/// a /24.
const SUBNET_BLOCKS: RangeInclusive<u8> = 24..=27;
/// Prefix lengths of a pod CIDR: each node needs a /24 of it.
const POD_BLOCKS: RangeInclusive<u8> = 16..=24;
/// Prefix lengths of a service CIDR: kube-apiserver takes no range larger than a /12.
const SERVICE_BLOCKS: RangeInclusive<u8> = 12..=24;

/// Prefix lengths of a management network: each node has an address in it.
const MANAGEMENT_BLOCKS: RangeInclusive<u8> = 24..=27;

/// Reads all pools; `None` when one of them has a problem.
pub(super) fn read(mut fields: Fields<'_>) -> Option<Pools> {
    let usual = Pools::default();
    let subnet = pool(fields.section("subnet"), &usual.subnet, SUBNET_BLOCKS);
    let pod = pool(fields.section("pod"), &usual.pod, POD_BLOCKS);
    let service = pool(fields.section("service"), &usual.service, SERVICE_BLOCKS);
    let management = pool(fields.section("management"), &usual.management, MANAGEMENT_BLOCKS);
    let ranges = [("subnet", &subnet), ("pod", &pod), ("service", &service), ("management", &management)];
    let ranges = ranges.map(|(key, pool)| (key, pool.as_ref().map(|pool| pool.range)));
    for (place, (key, range)) in ranges.iter().enumerate() {
        for (other, theirs) in &ranges[..place] {
            if let (Some(range), Some(theirs)) = (range, theirs)
                && (range.contains(theirs) || theirs.contains(range))
            {
                let why = format!("'{range}' overlaps the range of {other}, {theirs}");
                fields.refuse(&format!("{key}.range"), &why);
            }
        }
    }
    fields.end();
    Some(Pools { subnet: subnet?, pod: pod?, service: service?, management: management?, allowed: None })
}

fn pool(mut fields: Fields<'_>, usual: &Pool, blocks: RangeInclusive<u8>) -> Option<Pool> {
    let before = fields.problems();
    let range = fields.take("range", range).unwrap_or(usual.range);
    let size = fields.take("block", |value| block(value, &blocks)).unwrap_or(usual.block);
    if fields.problems() == before && size < range.prefix_len() {
        let why =
            format!("'{size}' is larger than its range {range}; at least {} is needed", range.prefix_len());
        fields.refuse("block", &why);
    }
    let fits = fields.problems() == before;
    let first = fields.take("first", |value| {
        let first = network(value)?;
        if fits && (first.prefix_len() != size || !range.contains(&first)) {
            return Err(format!("is not a /{size} block of {range}"));
        }
        Ok(first)
    });
    let sound = fields.problems() == before;
    fields.end();
    sound.then(|| Pool {
        range,
        block: size,
        first: first.unwrap_or_else(|| usual_first(range, size, usual)),
    })
}

/// The first block where `first` is not set: the usual one if the range contains it, else the beginning of the range.
fn usual_first(range: Ipv4Net, block: u8, usual: &Pool) -> Ipv4Net {
    let begin = if range.contains(&usual.first.network()) { usual.first } else { range };
    Ipv4Net::new(begin.network(), block).map_or(range, |first| first.trunc())
}

fn range(value: &Value) -> Result<Ipv4Net, String> {
    let range = network(value)?;
    let private = [([10, 0, 0, 0], 8), ([172, 16, 0, 0], 12), ([192, 168, 0, 0], 16)];
    let private =
        private.iter().any(|(net, size)| Ipv4Net::new_assert((*net).into(), *size).contains(&range));
    if private { Ok(range) } else { Err("is not in a private range (RFC 1918)".to_owned()) }
}

fn block(value: &Value, allowed: &RangeInclusive<u8>) -> Result<u8, String> {
    let size = value.as_u64().and_then(|size| u8::try_from(size).ok()).filter(|size| allowed.contains(size));
    size.ok_or_else(|| format!("is not a prefix length from {} to {}", allowed.start(), allowed.end()))
}
