//! [`Snapshot`]: the parts of an instance that must not change when another one is destroyed (T3): UIDs, pods, processes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use k8s_openapi::api::core::v1::{Namespace, Node, Pod};
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use provisioner::exec::Command;

use super::destruction::DestructionError;
use crate::audit::Property;
use crate::cluster::TestCluster;

/// Prints process 1 of a node and the processes of Kubernetes: PID, name, and start time in clock ticks after the boot
/// (proc_pid_stat(5), field 22). The kernel cuts names off after 15 bytes.
const PROCESSES: &str = "for pid in 1 $(pgrep -x 'containerd|kubelet|etcd|kube-apiserver|kube-controller|kube-scheduler'); \
                         do cut -d' ' -f1,2,22 /proc/$pid/stat; done";
/// The annotation of a mirror pod, the API server's copy of a pod that a kubelet runs from a file
/// (`ConfigMirrorAnnotationKey` in the kubelet's types).
const COPY: &str = "kubernetes.io/config.mirror";

/// The value of each part, by the part's name: `UID of node acme-cp-1`.
#[derive(Debug)]
pub(super) struct Snapshot(BTreeMap<String, String>);

impl Snapshot {
    /// The present state of a cluster.
    pub(super) async fn of(cluster: &TestCluster) -> Result<Self, DestructionError> {
        let failed = |attempt: &str| cluster.failed(attempt.to_owned());
        let all = ListParams::default();
        let namespaces = Api::<Namespace>::all(cluster.client()).list(&all).await;
        let nodes = Api::<Node>::all(cluster.client()).list(&all).await;
        let pods =
            Api::<Pod>::namespaced(cluster.client(), provisioner::identity::NAMESPACE).list(&all).await;
        let mut state = BTreeMap::new();
        for namespace in namespaces.map_err(failed("list namespaces"))? {
            state.insert(
                format!("UID of namespace {}", namespace.name_any()),
                namespace.uid().unwrap_or_default(),
            );
        }
        for node in nodes.map_err(failed("list nodes"))? {
            state.insert(format!("UID of node {}", node.name_any()), node.uid().unwrap_or_default());
        }
        state.extend(lives(pods.map_err(failed("list pods"))?));
        for node in cluster.nodes() {
            let listed = Command::within(Duration::from_secs(10), "sh").args(["-c", PROCESSES]);
            let listed = node.run(&listed).await?.text();
            state.insert(format!("processes of {}", node.name()), listed.trim().replace('\n', ", "));
        }
        Ok(Self(state))
    }
}

/// The [`life`] of each pod. Mirror pods of the control plane are left out, because the kubelet replaces a mirror pod
/// up to a minute after its file has changed. The processes of the control plane are compared instead. Pure.
fn lives(pods: impl IntoIterator<Item = Pod>) -> impl Iterator<Item = (String, String)> {
    let own = pods.into_iter().filter(|pod| !pod.annotations().contains_key(COPY));
    own.map(|pod| (format!("life of pod {}", pod.name_any()), life(&pod)))
}

/// A pod's UID and the number of restarts of its containers. Pure.
fn life(pod: &Pod) -> String {
    let containers = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
    let restarts: i32 = containers.map(|container| container.restart_count).sum();
    format!("{}, {restarts} restarts", pod.uid().unwrap_or_default())
}

/// Each part with its value before and after; `nothing` where it is missing. Pure.
pub(super) fn compared(Snapshot(before): &Snapshot, Snapshot(after): &Snapshot) -> Vec<Property> {
    let things: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let value =
        |of: &BTreeMap<String, String>, what: &String| of.get(what).cloned().unwrap_or("nothing".to_owned());
    let link = |what: &String| Property {
        what: what.clone(),
        recorded: value(before, what),
        found: value(after, what),
    };
    things.into_iter().map(link).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn changed_removed_and_added_items_differ_and_nothing_else() {
        let state = |things: &[(&str, &str)]| {
            Snapshot(things.iter().map(|(what, is)| ((*what).to_owned(), (*is).to_owned())).collect())
        };
        let before = state(&[("same", "1"), ("changed", "1"), ("gone", "1")]);
        let after = state(&[("same", "1"), ("changed", "2"), ("new", "1")]);
        let links = compared(&before, &after);
        let differ = links.iter().filter(|link| link.recorded != link.found);
        assert_eq!(differ.map(|link| link.what.as_str()).collect::<Vec<_>>(), ["changed", "gone", "new"]);
        assert_eq!(links.len(), 4);
    }

    #[test]
    fn pods_are_compared_by_uid_and_restarts_and_mirror_pods_are_left_out() {
        let pod = |name: &str, annotations: Value| -> Pod {
            serde_json::from_value(json!({
                "metadata": { "name": name, "uid": format!("uid of {name}"), "annotations": annotations },
                "status": { "containerStatuses": [
                    { "name": "one", "image": "", "imageID": "", "ready": true, "restartCount": 1 },
                    { "name": "two", "image": "", "imageID": "", "ready": true, "restartCount": 2 },
                ] },
            }))
            .expect("a pod")
        };
        let copy = pod("kube-apiserver-acme-cp-1", json!({ "kubernetes.io/config.mirror": "5fbce50e" }));
        let lives: Vec<_> = lives([pod("coredns", json!({})), copy]).collect();
        let expected = ("life of pod coredns", "uid of coredns, 3 restarts");
        assert_eq!(lives, [(expected.0.to_owned(), expected.1.to_owned())]);
    }
}
