//! Forwarded ports of the host (H3): nftables and iptables rules that rewrite destinations, and ports that podman
//! publishes.
//!
//! A program that listens and relays is in no table, so it is not found here; H2 sends a probe to every listening port.

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use provisioner::Provisioner;
use provisioner::exec::{Command, Local, Runner};
use provisioner::fabric::namespace_path;
use provisioner::plan::ClusterPlan;
use serde::Deserialize;
use serde_json::Value;

/// Where a port listens, and its new destination. 0.0.0.0 and port 0 stand for any.
type Forward = (SocketAddr, SocketAddr);

/// All forwards. `None` when a table cannot be read, or has a rule whose destination is not understood.
pub(super) async fn all(provisioner: &Provisioner) -> Option<Vec<Forward>> {
    let ruleset: Value = serde_json::from_str(&said("nft", &["--json", "list", "ruleset"]).await?).ok()?;
    let mut found = in_ruleset(&ruleset)?;
    // The ruleset has the rules of iptables-nft, but only iptables can decode them. It does not have those of
    // iptables-legacy.
    if holds(&ruleset, "xt") {
        found.extend(in_iptables(&said("iptables-nft-save", &["-t", "nat"]).await?)?);
    }
    let old = fs::read_to_string("/proc/net/ip_tables_names").unwrap_or_default();
    if old.lines().any(|table| table == "nat") {
        found.extend(in_iptables(&said("iptables-legacy-save", &["-t", "nat"]).await?)?);
    }
    let containers: Vec<Container> =
        serde_json::from_str(&said("podman", &["ps", "--all", "--format", "json"]).await?).ok()?;
    found.extend(published(&containers, &nodes(provisioner)?, |pid| {
        namespace(&format!("/proc/{pid}/ns/net"))
    }));
    Some(found)
}

async fn said(program: &str, words: &[&str]) -> Option<String> {
    let command = Command::within(Duration::from_secs(20), program).args(words.to_vec());
    Local.run(&command).await.ok().map(|output| output.text())
}

/// Whether the value has this key, at any depth. Pure.
fn holds(value: &Value, key: &str) -> bool {
    match value {
        Value::Object(fields) => fields.iter().any(|(name, value)| name == key || holds(value, key)),
        Value::Array(values) => values.iter().any(|value| holds(value, key)),
        _ => false,
    }
}

/// The forwards in a ruleset (libnftables-json(5)): its rules with `dnat`. `None` when the destination of one is not
/// understood. Pure.
fn in_ruleset(ruleset: &Value) -> Option<Vec<Forward>> {
    let objects = ruleset.get("nftables")?.as_array()?;
    let mut found = Vec::new();
    for rule in objects.iter().filter_map(|object| object.get("rule")) {
        let statements = rule.get("expr").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        for to in statements.iter().filter_map(|statement| statement.get("dnat")) {
            let mut targets = addresses(to);
            for map in names(to) {
                let of = |object: &&Value| object["name"] == *map && object["table"] == rule["table"];
                let map = objects.iter().filter_map(|object| object.get("map")).find(of)?;
                targets.extend(addresses(&map["elem"]));
            }
            if targets.is_empty() {
                return None;
            }
            let port = to.get("port").and_then(Value::as_u64).and_then(|port| u16::try_from(port).ok());
            let listen = listens(statements);
            let port = port.unwrap_or(listen.port());
            found.extend(targets.into_iter().map(|to| (listen, SocketAddr::new(to, port))));
        }
    }
    Some(found)
}

/// The destination that a rule matches: 0.0.0.0 and port 0 where it matches any. Pure.
fn listens(statements: &[Value]) -> SocketAddr {
    let mut at = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0);
    for demand in statements.iter().filter_map(|statement| statement.get("match")) {
        let right = &demand["right"];
        match demand["left"]["payload"]["field"].as_str() {
            Some("dport") => at.set_port(right.as_u64().and_then(|port| port.try_into().ok()).unwrap_or(0)),
            Some("daddr") => {
                if let Some(address) = right.as_str().and_then(|text| text.parse().ok()) {
                    at.set_ip(address);
                }
            }
            _ => {}
        }
    }
    at
}

/// All IP addresses in a value, at any depth. Pure.
fn addresses(value: &Value) -> Vec<IpAddr> {
    match value {
        Value::String(text) => text.parse().ok().into_iter().collect(),
        Value::Array(values) => values.iter().flat_map(addresses).collect(),
        Value::Object(fields) => fields.values().flat_map(addresses).collect(),
        _ => Vec::new(),
    }
}

/// The names of all maps in a value, at any depth: `published` for `@published`. Pure.
fn names(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => text.strip_prefix('@').into_iter().collect(),
        Value::Array(values) => values.iter().flat_map(names).collect(),
        Value::Object(fields) => fields.values().flat_map(names).collect(),
        _ => Vec::new(),
    }
}

/// The forwards in the output of iptables-save, such as `-A DOCKER -p tcp -m tcp --dport 80 -j DNAT --to-destination
/// 172.17.0.2:80`. `None` when one is not understood. Pure.
fn in_iptables(text: &str) -> Option<Vec<Forward>> {
    let after = |line: &str, flag: &str| {
        let mut words = line.split_whitespace().skip_while(|word| *word != flag).skip(1);
        words.next().map(str::to_owned)
    };
    let rules = text.lines().filter(|line| after(line, "-j").as_deref() == Some("DNAT"));
    let forward = |line: &str| {
        let to = after(line, "--to-destination")?;
        let port = after(line, "--dport").and_then(|port| port.parse().ok()).unwrap_or(0);
        let first = to.split('-').next().unwrap_or_default(); // the first address of a range
        let to = first.parse().or_else(|_| first.parse().map(|to| SocketAddr::new(to, port))).ok()?;
        let at = after(line, "-d").and_then(|at| at.split('/').next()?.parse().ok());
        Some((SocketAddr::new(at.unwrap_or(Ipv4Addr::UNSPECIFIED.into()), port), to))
    };
    rules.map(forward).collect()
}

/// The fields of a container in `podman ps --format json` that are read here.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Container {
    pid: u32,
    #[serde(default)]
    ports: Option<Vec<Port>>,
}

/// A published port, or a range of `range` ports.
#[derive(Debug, Deserialize)]
struct Port {
    host_ip: String,
    container_port: u16,
    host_port: u16,
    range: u16,
}

/// The published ports that a program of podman relays into the network namespace of a node. For containers in a
/// network of podman, the forward is a rule in the tables. `nodes` has node addresses by network namespace. Pure.
fn published(
    containers: &[Container],
    nodes: &BTreeMap<u64, Ipv4Addr>,
    namespace: impl Fn(u32) -> Option<u64>,
) -> Vec<Forward> {
    let mut found = Vec::new();
    for container in containers {
        let ports = container.ports.as_deref().unwrap_or_default();
        if ports.is_empty() {
            continue;
        }
        let Some(node) = namespace(container.pid).and_then(|namespace| nodes.get(&namespace)) else {
            continue;
        };
        for port in ports {
            let at = port.host_ip.parse().unwrap_or(Ipv4Addr::UNSPECIFIED.into());
            found.extend((0..port.range.max(1)).map(|more| {
                let listen = SocketAddr::new(at, port.host_port.saturating_add(more));
                (listen, SocketAddr::new((*node).into(), port.container_port.saturating_add(more)))
            }));
        }
    }
    found
}

/// Reads bytes as the output of nft, podman and iptables-save, for `tests/fuzz`.
#[cfg(feature = "fuzzing")]
pub fn read_forwards(answer: &str) {
    if let Ok(ruleset) = serde_json::from_str::<Value>(answer) {
        holds(&ruleset, "xt");
        drop(in_ruleset(&ruleset));
    }
    drop(in_iptables(answer));
    if let Ok(containers) = serde_json::from_str::<Vec<Container>>(answer) {
        let nodes = BTreeMap::from([(1, Ipv4Addr::LOCALHOST)]);
        drop(published(&containers, &nodes, |_| Some(1)));
    }
}

/// The addresses of the running nodes of all instances, by the inode of their network namespace. `None` when the
/// registry cannot be read.
fn nodes(provisioner: &Provisioner) -> Option<BTreeMap<u64, Ipv4Addr>> {
    let mut nodes = BTreeMap::new();
    for instance in provisioner.registry().instances().ok()? {
        let plan = ClusterPlan::of(&instance, provisioner.home());
        for node in &plan.nodes {
            let path = namespace_path(&plan.id.node_scope(&node.name));
            nodes.extend(namespace(path.as_ref()).map(|namespace| (namespace, node.address)));
        }
    }
    Some(nodes)
}

/// The inode that identifies a namespace (namespaces(7)). `None` where there is no such file.
fn namespace(path: &str) -> Option<u64> {
    fs::metadata(path).ok().map(|meta| meta.ino())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn forward(listen: &str, to: &str) -> Forward {
        (listen.parse().unwrap(), to.parse().unwrap())
    }

    #[test]
    fn rules_that_rewrite_destinations_are_forwards_and_an_unknown_rule_makes_the_result_unknown() {
        let demand = |field: &str, right: Value| {
            let left = json!({ "payload": { "protocol": "tcp", "field": field } });
            json!({ "match": { "op": "==", "left": left, "right": right } })
        };
        let rule =
            |expr: Value| json!({ "rule": { "family": "ip", "table": "nat", "chain": "x", "expr": expr } });
        let of = |rules: &[Value]| {
            let meta = json!({ "metainfo": { "json_schema_version": 1 } });
            let map = json!({ "map": { "table": "nat", "name": "published", "elem": [
                [8080, { "concat": ["192.168.60.21", 80] }],
                [8081, { "concat": ["10.0.0.9", 81] }],
            ] } });
            let objects = [&[meta, map], rules].concat();
            in_ruleset(&json!({ "nftables": objects }))
        };
        let drop = rule(json!([demand("dport", json!(22)), { "drop": null }]));
        assert_eq!(of(&[drop]), Some(Vec::new()));
        let plain = rule(json!([
            demand("daddr", json!("10.0.0.7")),
            demand("dport", json!(8443)),
            { "dnat": { "addr": "192.168.60.10", "port": 6443 } },
        ]));
        assert_eq!(of(&[plain]), Some(vec![forward("10.0.0.7:8443", "192.168.60.10:6443")]));
        let any = rule(json!([{ "counter": null }, { "dnat": { "addr": "192.168.60.10" } }]));
        assert_eq!(of(&[any]), Some(vec![forward("0.0.0.0:0", "192.168.60.10:0")]));
        let key = json!({ "payload": { "protocol": "tcp", "field": "dport" } });
        let mapped = rule(json!([{ "dnat": { "addr": { "map": { "key": key, "data": "@published" } } } }]));
        let expected = ["192.168.60.21:0", "10.0.0.9:0"].map(|to| forward("0.0.0.0:0", to));
        assert_eq!(of(&[mapped]), Some(expected.to_vec()));
        let odd = rule(json!([{ "dnat": { "addr": { "symhash": { "mod": 2 } } } }]));
        assert_eq!(of(&[odd]), None);
        assert_eq!(in_ruleset(&json!({})), None);
        assert!(holds(&json!([{ "a": { "xt": null } }]), "xt"));
    }

    #[test]
    fn rules_of_iptables_are_read_as_it_saves_them() {
        let text = "*nat\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER\n\
                    -A DOCKER ! -i docker0 -p tcp -m tcp --dport 8443 -j DNAT --to-destination 172.17.0.2:443\n\
                    -A X -d 10.0.0.7/32 -p tcp -m tcp --dport 80 -j DNAT --to-destination 192.168.60.10\nCOMMIT\n";
        let expected =
            [forward("0.0.0.0:8443", "172.17.0.2:443"), forward("10.0.0.7:80", "192.168.60.10:80")];
        assert_eq!(in_iptables(text), Some(expected.to_vec()));
        assert_eq!(in_iptables("-A X -j DNAT --random\n"), None);
    }

    #[test]
    fn a_published_port_leads_to_the_node_whose_network_the_container_has() {
        let text = r#"[
            {"Pid": 7, "Ports": null},
            {"Pid": 8, "Ports": [{"host_ip": "", "container_port": 80, "host_port": 8080, "range": 2, "protocol": "tcp"}]},
            {"Pid": 9, "Ports": [{"host_ip": "10.0.0.7", "container_port": 1, "host_port": 1, "range": 1, "protocol": "tcp"}]}
        ]"#;
        let containers: Vec<Container> = serde_json::from_str(text).unwrap();
        let nodes = BTreeMap::from([(800, Ipv4Addr::new(192, 168, 60, 10))]);
        let found = published(&containers, &nodes, |pid| Some(u64::from(pid) * 100));
        let expected = [("0.0.0.0:8080", "192.168.60.10:80"), ("0.0.0.0:8081", "192.168.60.10:81")];
        assert_eq!(found, expected.map(|(listen, to)| forward(listen, to)));
    }
}
