//! What must stay as it is of an instance when another one goes: who it is, and what runs in it since when.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use k8s_openapi::api::core::v1::{Namespace, Node, Pod};
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use provisioner::exec::Command;

use super::destruction::DestructionError;
use crate::audit::Link;
use crate::cluster::TestCluster;

/// The first process of a node and those that make it one: name, PID, and start time in clock ticks after the boot
/// (proc_pid_stat(5), field 22). Names are as the kernel cuts them off, after 15 bytes.
const PROCESSES: &str = "for pid in 1 $(pgrep -x 'containerd|kubelet|etcd|kube-apiserver|kube-controller|kube-scheduler'); \
                         do cut -d' ' -f1,2,22 /proc/$pid/stat; done";
/// Marks the API server's copy of a pod that a kubelet runs from a file: the field `ConfigMirrorAnnotationKey` of
/// kubelet's types.
const COPY: &str = "kubernetes.io/config.mirror";

/// Each thing that must stay, and what it is.
#[derive(Debug)]
pub(super) struct State(BTreeMap<String, String>);

impl State {
    /// As it is now.
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

/// The lives of pods. The control plane is left out: its pods run from files, and what the API server has of them is a
/// copy, which the kubelet makes anew up to a minute after the file has changed. Their processes are compared instead.
fn lives(pods: impl IntoIterator<Item = Pod>) -> impl Iterator<Item = (String, String)> {
    let own = pods.into_iter().filter(|pod| !pod.annotations().contains_key(COPY));
    own.map(|pod| (format!("life of pod {}", pod.name_any()), life(&pod)))
}

/// Who a pod is, and how often its containers have started again.
fn life(pod: &Pod) -> String {
    let containers = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
    let restarts: i32 = containers.map(|container| container.restart_count).sum();
    format!("{}, started again {restarts} times", pod.uid().unwrap_or_default())
}

/// Each thing before and after.
pub(super) fn compared(State(before): &State, State(after): &State) -> Vec<Link> {
    let things: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let value =
        |of: &BTreeMap<String, String>, what: &String| of.get(what).cloned().unwrap_or("nothing".to_owned());
    let link =
        |what: &String| Link { what: what.clone(), recorded: value(before, what), found: value(after, what) };
    things.into_iter().map(link).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn what_changed_what_went_and_what_came_differs_and_nothing_else() {
        let state = |things: &[(&str, &str)]| {
            State(things.iter().map(|(what, is)| ((*what).to_owned(), (*is).to_owned())).collect())
        };
        let before = state(&[("same", "1"), ("changed", "1"), ("gone", "1")]);
        let after = state(&[("same", "1"), ("changed", "2"), ("new", "1")]);
        let links = compared(&before, &after);
        let differ = links.iter().filter(|link| link.recorded != link.found);
        assert_eq!(differ.map(|link| link.what.as_str()).collect::<Vec<_>>(), ["changed", "gone", "new"]);
        assert_eq!(links.len(), 4);
    }

    #[test]
    fn a_pod_is_compared_by_its_uid_and_its_restarts_and_the_copy_of_a_static_pod_is_not() {
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
        let expected = ("life of pod coredns", "uid of coredns, started again 3 times");
        assert_eq!(lives, [(expected.0.to_owned(), expected.1.to_owned())]);
    }
}
