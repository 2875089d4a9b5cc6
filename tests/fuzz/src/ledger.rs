//! `instances.json` of this version and of earlier ones. Reading changes nothing, and a change keeps all else.

use std::convert::Infallible;

use camino::Utf8PathBuf;
use serde_json::Value;

use provisioner::plan::ClusterPlan;
use provisioner::registry::{Entry, Registry};

use crate::place::Place;

/// The name of the instance that the target claims.
const OURS: &str = "of-the-target";

/// Reads a home's ledger, claims an instance and releases it.
///
/// # Panics
/// When a change loses other data, or a sound entry cannot be planned.
pub fn ledger(data: &[u8]) {
    thread_local!(static PLACE: Place = Place::new());
    PLACE.with(|place| {
        let file = place.home.registry();
        std::fs::write(&file, data).unwrap();
        let registry = Registry::in_home(&place.home);
        let listed = registry.list();
        assert_eq!(std::fs::read(&file).unwrap(), data, "reading has changed the file");
        let Ok(before) = listed else { return assert!(registry.release(OURS).is_err()) };
        for entry in &before {
            if let Entry::Sound(instance) = entry {
                let plan = ClusterPlan::of(instance, &place.home);
                drop((instance.with_transit(), instance.networks(), instance.dns_suffix(), plan));
            }
        }
        if before.iter().any(|entry| entry.name() == Some(OURS)) {
            return;
        }
        let (ours, _) = place.plan(OURS, &[]);
        let claimed = registry.claim(|_| Ok::<_, Infallible>(ours.clone()));
        let Ok(claimed) = claimed else {
            assert_eq!(std::fs::read(&file).unwrap(), data, "a refused claim has changed the file");
            return;
        };
        assert_eq!(claimed, ours);
        let with_ours = registry.list().unwrap();
        assert_eq!(with_ours.split_last(), Some((&Entry::Sound(ours.clone()), &before[..])));
        assert_eq!(registry.release(OURS).unwrap(), Some(ours));
        assert_eq!(registry.list().unwrap(), before);
        let (old, new): (Value, Value) = (
            serde_json::from_slice(data).unwrap(),
            serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap(),
        );
        match old.get("version").and_then(Value::as_u64).unwrap_or(0) {
            version if Some(version) == new.get("version").and_then(Value::as_u64) => assert_eq!(old, new),
            version => {
                let kept = Utf8PathBuf::from(format!("{file}.v{version}"));
                assert_eq!(std::fs::read(&kept).unwrap(), data, "the old file is not kept");
                std::fs::remove_file(&kept).unwrap();
                holds(&old, &new);
            }
        }
    });
}

/// The keys that format 3 has renamed, and those that it has introduced: an older file has no value of ours there.
const RENAMED: [&str; 7] = ["owner", "durability", "federated", "transit", "keeper", "handling", "operation"];

/// Checks that the new value has all other keys of the old one. Scalar values may differ.
fn holds(old: &Value, new: &Value) {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            let kept = old.iter().filter(|(key, _)| !RENAMED.contains(&key.as_str()));
            kept.for_each(|(key, value)| holds(value, new.get(key).unwrap()));
        }
        (Value::Array(old), Value::Array(new)) => {
            assert_eq!(old.len(), new.len());
            old.iter().zip(new).for_each(|(old, new)| holds(old, new));
        }
        _ => {}
    }
}
