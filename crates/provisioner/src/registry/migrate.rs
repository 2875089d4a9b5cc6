//! Migrates older formats to the present one, one format at a time. Pure.
//!
//! A step knows its own two formats and no later one, so it never has to change. It keeps fields that it does not know:
//! an entry that is broken before a step is broken after it, and is shown as broken.

use serde_json::{Value, json};

/// The steps in their order; `STEPS[n]` makes format `n + 1` from format `n`.
const STEPS: [fn(&mut Value); 3] = [to_1, to_2, to_3];

/// The format after the last step.
pub(super) const PRESENT: u32 = STEPS.len() as u32;

/// Migrates a file of format `format` to the present format.
pub(super) fn migrate(mut file: Value, format: u32) -> Value {
    for step in &STEPS[format as usize..] {
        step(&mut file);
    }
    file
}

/// Format 0 has no `version`. Its entries may have a subnet of three octets, such as `192.168.60`. They do not have the
/// count of workers, the durability and the pod network: each was an operator's instance with the default workers of
/// its topology and with the only pod network of that time.
fn to_1(file: &mut Value) {
    file["version"] = json!(1);
    let entries = file.get_mut("instances").and_then(Value::as_array_mut);
    for entry in entries.into_iter().flatten().filter_map(Value::as_object_mut) {
        if let Some(subnet) = entry.get_mut("subnet") {
            let octets = subnet.as_str().map_or(0, |text| text.split('.').count());
            if let (3, Some(text)) = (octets, subnet.as_str()) {
                *subnet = json!(format!("{text}.0/24"));
            }
        }
        let workers = match entry.get("topology").and_then(Value::as_str) {
            Some("k8s-single") => Some(0),
            Some("k8s-multi" | "k8s-ha") => Some(3),
            _ => None,
        };
        if let Some(workers) = workers {
            entry.entry("workers").or_insert(json!(workers));
        }
        entry.entry("durability").or_insert(json!("durable"));
        if let Some(k8s) = entry.get_mut("k8s").and_then(Value::as_object_mut) {
            k8s.entry("cni").or_insert(json!("routed"));
        }
    }
}

/// Format 1 has the count of an instance's workers; their numbers began with 1, without a gap.
fn to_2(file: &mut Value) {
    file["version"] = json!(2);
    let entries = file.get_mut("instances").and_then(Value::as_array_mut);
    for entry in entries.into_iter().flatten().filter_map(Value::as_object_mut) {
        if let Some(workers) = entry.get_mut("workers")
            && let Some(count) = workers.as_u64().and_then(|count| u8::try_from(count).ok())
        {
            *workers = json!((1..=count).collect::<Vec<_>>());
        }
    }
}

/// Format 2 has one field `owner` for the process that needs an instance: an `up` until it succeeds, or a run of tests.
/// Workers in transit have an owner of their own. `durability` stands for four settings. No version filled `federated`.
fn to_3(file: &mut Value) {
    file["version"] = json!(3);
    let entries = file.get_mut("instances").and_then(Value::as_array_mut);
    for entry in entries.into_iter().flatten().filter_map(Value::as_object_mut) {
        let since = entry.get("createdAt").cloned().unwrap_or_default();
        let operation = |kind: &str, owner: &Value| json!({ "kind": kind, "owner": owner, "since": since });
        let mut in_progress = Value::Null;
        if let Some(transit) = entry.get_mut("transit") {
            if transit.get("owner").is_some_and(Value::is_object) {
                in_progress = operation("remove-worker", &transit["owner"]);
            }
            if transit.is_null() {
                *transit = json!([]);
            } else if let Some(workers) = transit.get("workers") {
                *transit = workers.clone();
            }
        }
        let owner = entry.remove("owner").unwrap_or_default();
        let is_up = owner.get("runId").and_then(Value::as_str).is_some_and(|run| run.starts_with("up-"));
        if !owner.is_null() && (is_up || entry.get("state") == Some(&json!("creating"))) {
            in_progress = operation("create", &owner);
        }
        let keeper = if owner.is_null() || is_up { json!("operator") } else { json!({ "run": owner }) };
        entry.insert("keeper".to_owned(), keeper);
        if !in_progress.is_null() {
            entry.insert("operation".to_owned(), in_progress);
        }
        let handling = match entry.get("durability").and_then(Value::as_str) {
            Some("durable") => Some([true, true, true, false]),
            Some("throw-away") => Some([false, false, false, true]),
            _ => None,
        };
        if let Some([fsync, kubeconfig, host_names, self_test]) = handling {
            entry.remove("durability");
            let handling = json!({
                "fsync": fsync, "kubeconfig": kubeconfig, "hostNames": host_names, "selfTest": self_test,
            });
            entry.insert("handling".to_owned(), handling);
        }
        if entry.get("federated") == Some(&json!([])) {
            entry.remove("federated");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_migration_keeps_unknown_and_invalid_values() {
        let file = json!({
            "colour": "of the file",
            "instances": [
                7,
                { "name": "a", "topology": "k8s-huge", "subnet": ["?"], "k8s": 1 },
                {
                    "name": "b", "topology": "k8s-multi", "workers": 5, "subnet": "10.0.0.0/25",
                    "durability": "throw-away", "colour": "of the entry",
                    "k8s": { "cni": "cilium", "colour": "of the part" },
                },
            ],
        });
        let mut expected = file.clone();
        expected["version"] = json!(2);
        expected["instances"][1]["durability"] = json!("durable");
        expected["instances"][2]["workers"] = json!([1, 2, 3, 4, 5]);
        let mut file = file;
        to_1(&mut file);
        to_2(&mut file);
        assert_eq!(file, expected);
    }

    #[test]
    fn a_count_of_workers_becomes_their_numbers_and_an_invalid_one_stays() {
        let workers =
            |workers: Value| json!({ "version": 1, "instances": [{ "name": "a", "workers": workers }] });
        for (before, after) in [
            (json!(0), json!([])),
            (json!(3), json!([1, 2, 3])),
            (json!(300), json!(300)),
            (json!(-1), json!(-1)),
            (json!("three"), json!("three")),
        ] {
            let mut expected = workers(after);
            expected["version"] = json!(2);
            let mut file = workers(before);
            to_2(&mut file);
            assert_eq!(file, expected);
        }
    }

    #[test]
    fn the_present_format_is_left_as_it_is() {
        let file = json!({ "version": PRESENT, "instances": [{ "name": "a" }] });
        assert_eq!(migrate(file.clone(), PRESENT), file);
    }
}
