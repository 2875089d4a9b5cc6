//! Rules that change, copy or redirect packets: nftables, both iptables, IPVS and IPsec, in every namespace.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use ipnet::Ipv4Net;
use probe::structure::Network;
use serde_json::Value;

use super::ground::{Ground, Owner};
use super::{Difference, DifferenceKind, Effect, Explanation, PlannedInstance};

/// Statements of nft that change, copy or redirect packets (libnftables-json(5)).
const CHANGING: [&str; 8] = ["dnat", "snat", "masquerade", "redirect", "tproxy", "fwd", "dup", "flow"];
/// Targets of iptables that do.
const TARGETS: [&str; 9] =
    ["DNAT", "SNAT", "MASQUERADE", "REDIRECT", "NETMAP", "TPROXY", "TEE", "DNPT", "SNPT"];
/// The tables and chains by which the pod network and kube-proxy change packets within their own node.
const OF_PODS: [&str; 5] = ["kube-proxy", "KUBE-", "CNI-", "cni_hostport", "CILIUM_"];

pub(super) fn compare(ground: &Ground<'_>) -> Vec<Difference> {
    let mut all = Vec::new();
    for network in &ground.seen.networks {
        let owner = ground.owners.get(&network.inode).copied();
        let of = Of { ground, network, own: owner.and_then(Owner::instance) };
        // A node has hundreds of rules for services: those with an explanation are one difference for each table.
        let mut explained: BTreeMap<String, (Difference, usize)> = BTreeMap::new();
        for rule in nft(network).into_iter().chain(iptables(network)) {
            match of.judge(&rule) {
                Some(difference) if difference.explained.is_some() => {
                    let table = rule.table.split(", chain").next().unwrap_or_default().to_owned();
                    explained.entry(table).or_insert((difference, 0)).1 += 1;
                }
                difference => all.extend(difference),
            }
        }
        all.extend(explained.into_iter().map(|(table, (difference, count))| {
            let found = format!("{count} rules of {table} in {}", ground.place(network.inode));
            Difference { found, ..difference }
        }));
        for line in &network.ipvs {
            let rule = Rule {
                table: "IPVS".to_owned(),
                text: line.clone(),
                mentions: ipvs_addresses(line),
                ..Rule::default()
            };
            all.extend(of.judge(&rule));
        }
        // IPsec wraps packets for another system. In a namespace of an instance, nothing does that.
        if network.xfrm != 0 && of.own.is_some() {
            let rule = Rule {
                table: "IPsec".to_owned(),
                text: format!("{} policies and states", network.xfrm),
                ..Rule::default()
            };
            all.extend(of.judge(&rule));
        }
    }
    all
}

/// A rule with the parts that say whom it touches.
#[derive(Default)]
struct Rule {
    table: String,
    text: String,
    /// The addresses and networks in it, and in the sets and maps to which it refers.
    mentions: Vec<Ipv4Net>,
    /// All words in it: names of links among them.
    words: BTreeSet<String>,
    /// Whether it names neither an address nor a link, so that it applies to all packets.
    is_wide: bool,
}

struct Of<'a> {
    ground: &'a Ground<'a>,
    network: &'a Network,
    own: Option<usize>,
}

impl Of<'_> {
    fn judge(&self, rule: &Rule) -> Option<Difference> {
        let (ground, place) = (self.ground, self.ground.place(self.network.inode));
        let touches = |plan: &PlannedInstance| {
            // A range that is wider than all networks of the instance is not about it.
            let by_address = rule.mentions.iter().any(|net| plan.networks().any(|own| own.contains(net)));
            by_address || rule.words.contains(&plan.link) || rule.words.contains(&plan.management_link)
        };
        let mut touched: BTreeSet<usize> =
            ground.instances().filter(|(_, plan)| touches(plan)).map(|(place, _)| place).collect();
        let found = format!("a rule of {} in {place}: {}", rule.table, shortened(&rule.text));
        if let Some(own) = self.own {
            let foreign = touched.iter().any(|place| *place != own) || self.beyond(own, rule);
            let of_pods = OF_PODS.iter().any(|name| rule.table.contains(name) || rule.text.contains(name));
            touched.insert(own);
            let effect = if foreign { Effect::OpensPath } else { Effect::Unplanned };
            let explained = (of_pods && !foreign).then_some(Explanation::PodNetwork);
            let names = touched.into_iter().map(|instance| ground.name(instance));
            return Some(Difference::of(DifferenceKind::Nat, names, effect, found).explained(explained));
        }
        let is_host = self.network.inode == ground.seen.host.net;
        if touched.is_empty() {
            // It applies to packets of instances as to all others; the guard drops these before.
            let names = ground.names();
            return (rule.is_wide && is_host)
                .then(|| Difference::of(DifferenceKind::Nat, names, Effect::Unplanned, found));
        }
        let names = touched.into_iter().map(|instance| ground.name(instance));
        Some(Difference::of(DifferenceKind::Nat, names, Effect::OpensPath, found))
    }

    /// Whether a rule within an instance sends packets to an address of the host.
    fn beyond(&self, own: usize, rule: &Rule) -> bool {
        let gateway = self.ground.instance(own).gateway;
        let of_host = self.ground.host().into_iter().flat_map(|host| &host.addresses);
        let mut of_host =
            of_host.map(|address| address.address.addr()).filter(|address| !address.is_loopback());
        let is = |address: IpAddr| matches!(address, IpAddr::V4(address) if rule.mentions.contains(&Ipv4Net::from(address)));
        is(gateway.into()) || of_host.any(is)
    }
}

fn shortened(text: &str) -> String {
    const LONGEST: usize = 300;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// The changing rules of nftables. Rules of the guard do not change packets.
fn nft(network: &Network) -> Vec<Rule> {
    let objects = || network.nft.iter().filter_map(|object| object.as_object()?.iter().next());
    let text =
        |object: &Value, key: &str| object.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut rules = Vec::new();
    for (kind, object) in objects() {
        let table = format!("nftables {} {}", text(object, "family"), text(object, "table"));
        match kind.as_str() {
            "rule" => {
                let Some(statements) = object.get("expr").and_then(Value::as_array) else { continue };
                let changes = statements.iter().any(is_changing);
                if !changes {
                    continue;
                }
                let mut parts = vec![object.get("expr").cloned().unwrap_or_default()];
                // Sets and maps to which the rule refers, also in the text of a verdict.
                let all = object.to_string();
                for (_, other) in objects().filter(|(kind, _)| matches!(kind.as_str(), "set" | "map")) {
                    let same_table = other.get("table") == object.get("table")
                        && other.get("family") == object.get("family");
                    if same_table && all.contains(&format!("\"@{}\"", text(other, "name"))) {
                        parts.extend(other.get("elem").cloned());
                    }
                }
                rules.push(rule(
                    format!("{table}, chain {}", text(object, "chain")),
                    &object["expr"],
                    &parts,
                ));
            }
            "flowtable" => rules.push(rule(table, object, &[object.get("dev").cloned().unwrap_or_default()])),
            _ => {}
        }
    }
    rules
}

/// Whether a statement changes, copies or redirects packets; `xt` is a part of iptables that nft cannot tell, and read
/// from `iptables-save`.
fn is_changing(statement: &Value) -> bool {
    statement.as_object().is_some_and(|it| it.keys().any(|key| CHANGING.contains(&key.as_str())))
}

fn rule(table: String, shown: &Value, parts: &[Value]) -> Rule {
    let mut rule = Rule { table, text: shown.to_string(), ..Rule::default() };
    parts.iter().for_each(|part| collect(part, &mut rule));
    let names_link = shown.to_string().contains("ifname")
        || shown.to_string().contains("\"iif\"")
        || shown.to_string().contains("\"oif\"");
    rule.is_wide = rule.mentions.is_empty() && !names_link;
    rule
}

/// Collects the addresses and words of a part.
fn collect(value: &Value, rule: &mut Rule) {
    match value {
        Value::String(text) => {
            rule.mentions.extend(text.parse::<Ipv4Addr>().map(Ipv4Net::from));
            rule.words.insert(text.clone());
        }
        Value::Array(all) => all.iter().for_each(|value| collect(value, rule)),
        Value::Object(object) => {
            let prefix = object.get("prefix");
            let address = prefix.and_then(|prefix| prefix.get("addr")?.as_str()?.parse::<Ipv4Addr>().ok());
            let length = prefix.and_then(|prefix| u8::try_from(prefix.get("len")?.as_u64()?).ok());
            if let Some(net) =
                address.zip(length).and_then(|(address, length)| Ipv4Net::new(address, length).ok())
            {
                rule.mentions.push(net);
                return;
            }
            object.values().for_each(|value| collect(value, rule));
        }
        _ => {}
    }
}

/// The changing rules of `iptables-save`: lines such as `-A PREROUTING -p tcp --dport 80 -j DNAT --to 192.168.60.10:80`.
fn iptables(network: &Network) -> Vec<Rule> {
    let mut rules = Vec::new();
    for (program, text) in &network.iptables {
        for line in text.lines().filter(|line| line.starts_with("-A ")) {
            let words: Vec<&str> = line.split_whitespace().collect();
            if !words.iter().any(|word| TARGETS.contains(word)) {
                continue;
            }
            let mentions: Vec<Ipv4Net> = words.iter().flat_map(|word| addresses(word)).collect();
            let names_link =
                words.iter().any(|word| matches!(*word, "-i" | "-o" | "--physdev-in" | "--physdev-out"));
            rules.push(Rule {
                table: program.clone(),
                text: line.to_owned(),
                is_wide: mentions.is_empty() && !names_link,
                mentions,
                words: words.iter().map(|word| (*word).to_owned()).collect(),
            });
        }
    }
    rules
}

/// The addresses and networks in a word: `192.168.60.0/24`, `192.168.60.10:80`, `10.0.0.1-10.0.0.9`.
fn addresses(word: &str) -> Vec<Ipv4Net> {
    let parts = word.split(|letter: char| !(letter.is_ascii_digit() || letter == '.' || letter == '/'));
    let read = |part: &str| part.parse().ok().or_else(|| part.parse::<Ipv4Addr>().ok().map(Ipv4Net::from));
    parts.filter_map(read).collect()
}

/// `TCP  C0A83C0A:1F90 rr` and `  -> C0A83C0A:1F90 Masq 1 0 0`: addresses in hexadecimal.
fn ipvs_addresses(line: &str) -> Vec<Ipv4Net> {
    let words = line.split_whitespace().filter_map(|word| word.split_once(':')?.0.get(..8));
    let addresses = words.filter_map(|word| u32::from_str_radix(word, 16).ok());
    addresses.map(|bits| Ipv4Net::from(Ipv4Addr::from_bits(bits))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::sample::*;
    use super::*;

    fn found(change: impl FnOnce(&mut probe::structure::Seen)) -> String {
        found_by(super::compare, change)
    }

    fn rule(table: &str, expr: &Value) -> Value {
        json!({ "rule": { "family": "ip", "table": table, "chain": "prerouting", "handle": 1, "expr": expr } })
    }

    #[test]
    fn the_guard_and_rules_for_other_networks_are_no_difference() {
        assert_eq!(found(|_| {}), "");
        assert_eq!(
            found(|seen| {
                let docker = json!([
                    { "match": { "op": "==", "left": { "payload": { "protocol": "ip", "field": "saddr" } },
                      "right": { "prefix": { "addr": "172.17.0.0", "len": 16 } } } },
                    { "masquerade": null }
                ]);
                network(seen, HOST).nft.push(rule("nat", &docker));
                network(seen, HOST).iptables.insert(
                    "iptables-legacy-save".to_owned(),
                    "*nat\n-A POSTROUTING -o eth0 -j MASQUERADE\n-A FORWARD -d 192.168.60.10/32 -j ACCEPT\nCOMMIT".to_owned(),
                );
            }),
            ""
        );
    }

    #[test]
    fn rules_of_every_kind_that_name_an_address_or_a_link_of_an_instance_are_told() {
        insta::assert_snapshot!(found(|seen| {
            let host = network(seen, HOST);
            host.nft
                .push(json!({ "map": { "family": "ip", "table": "lb", "name": "to", "type": "inet_service",
                "map": "ipv4_addr", "handle": 2, "elem": [[8443, "192.168.60.10"]] } }));
            host.nft
                .push(rule("lb", &json!([{ "dnat": { "addr": { "map": { "key": "x", "data": "@to" } } } }])));
            host.nft.push(rule("t", &json!([{ "fwd": { "dev": "hl-g" } }])));
            host.nft.push(json!({ "flowtable": { "family": "inet", "table": "f", "name": "fast", "handle": 3, "dev": ["eth0", "hl-a"] } }));
            host.iptables.insert(
                "iptables-legacy-save".to_owned(),
                "*nat\n-A PREROUTING -d 203.0.113.0/24 -j NETMAP --to 10.244.0.0/24\n-A PREROUTING -j TEE --gateway 192.168.61.10\nCOMMIT".to_owned(),
            );
            host.ipvs.push("TCP  CB007101:01BB rr".to_owned());
            host.ipvs.push("  -> C0A83D0A:01BB      Masq    1      0          0".to_owned());
        }));
    }

    #[test]
    fn a_rule_for_all_packets_of_the_host_is_told_as_unplanned() {
        insta::assert_snapshot!(
            found(|seen| network(seen, HOST).nft.push(rule("nat", &json!([{ "masquerade": null }])))),
            @r#"acme, globex: a rule of nftables ip nat, chain prerouting in the host: [{"masquerade":null}]"#
        );
    }

    #[test]
    fn rules_within_an_instance_are_explained_by_the_pod_network_only_while_they_stay_in_it() {
        let (planned, mut seen) = pair();
        let dnat = |address: &str| json!([{ "dnat": { "addr": address, "port": 80 } }]);
        let node = network(&mut seen, ACME_CP);
        node.nft.push(rule("kube-proxy", &dnat("10.244.0.7")));
        node.nft.push(rule("kube-proxy", &dnat("192.168.61.10")));
        node.nft.push(rule("own", &dnat("192.168.60.11")));
        node.nft.push(rule("own", &dnat("192.168.60.1")));
        node.xfrm = 2;
        insta::assert_snapshot!(told(&compare(&Ground::of(&planned, &seen))));
    }
}
