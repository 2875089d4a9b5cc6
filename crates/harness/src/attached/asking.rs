//! The first requests to a cluster that is attached: its identity, the rights of the context's user, its nodes.

use std::net::IpAddr;
use std::time::Duration;

use futures::future::try_join_all;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use k8s_openapi::api::core::v1::{Namespace, Node};
use kube::api::{ListParams, PostParams};
use kube::{Api, Client};
use provisioner::plan::Role;
use tokio::time::timeout;

use super::{AttachContextError, AttachedNode};

/// The deadline for connecting to the API server, and for its answers while a cluster is attached.
pub(super) const WITHIN: Duration = Duration::from_secs(10);

/// What an audit does in a cluster: verb and resource, all of the core API group.
const RIGHTS: [(&str, &str); 14] = [
    ("create", "namespaces"),
    ("delete", "namespaces"),
    ("list", "namespaces"),
    ("list", "nodes"),
    ("create", "pods"),
    ("get", "pods"),
    ("list", "pods"),
    ("deletecollection", "pods"),
    ("get", "pods/log"),
    ("get", "pods/exec"),
    ("create", "pods/exec"),
    ("create", "services"),
    ("get", "services"),
    ("create", "serviceaccounts/token"),
];

/// The first requests to a cluster.
pub(super) struct Asking<'a> {
    pub(super) context: &'a str,
    pub(super) client: &'a Client,
    /// The URL of the API server.
    pub(super) server: String,
}

impl Asking<'_> {
    pub(super) async fn uid(&self) -> Result<String, AttachContextError> {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let attempt = "get the namespace kube-system";
        let found = self.answer(attempt, namespaces.get("kube-system")).await?;
        Ok(found.metadata.uid.unwrap_or_default())
    }

    pub(super) async fn demand_rights(&self) -> Result<(), AttachContextError> {
        let reviews: Api<SelfSubjectAccessReview> = Api::all(self.client.clone());
        let asked = RIGHTS.map(|(verb, resource)| {
            let review = review(verb, resource);
            let reviews = &reviews;
            async move {
                let options = PostParams::default();
                let answer =
                    self.answer("ask for the rights of an audit", reviews.create(&options, &review)).await?;
                let allowed = answer.status.is_some_and(|status| status.allowed);
                Ok((!allowed).then(|| format!("{verb} {resource}")))
            }
        });
        let missing: Vec<String> = try_join_all(asked).await?.into_iter().flatten().collect();
        match missing.as_slice() {
            [] => Ok(()),
            _ => Err(AttachContextError::Denied { context: self.context.to_owned(), missing }),
        }
    }

    pub(super) async fn nodes(&self) -> Result<Vec<AttachedNode>, AttachContextError> {
        let nodes: Api<Node> = Api::all(self.client.clone());
        let listed = self.answer("list the nodes", nodes.list(&ListParams::default())).await?;
        let found = listed.items.iter().map(|listed| {
            node(listed).map_err(|why| AttachContextError::Node {
                node: listed.metadata.name.clone().unwrap_or_default(),
                context: self.context.to_owned(),
                why,
            })
        });
        let mut found: Vec<AttachedNode> = found.collect::<Result<_, _>>()?;
        found.sort_by_key(|node| (node.role != Role::ControlPlane, node.name.clone()));
        match found.is_empty() {
            true => Err(AttachContextError::NoNode { context: self.context.to_owned() }),
            false => Ok(found),
        }
    }

    async fn answer<T>(
        &self,
        attempt: &'static str,
        request: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, AttachContextError> {
        let (context, server) = (self.context.to_owned(), self.server.clone());
        match timeout(WITHIN, request).await {
            Err(_) => Err(AttachContextError::Late { attempt, context, server }),
            Ok(answer) => answer.map_err(|source| {
                let source = Box::new(source);
                AttachContextError::Api { attempt, context, server, source }
            }),
        }
    }
}

/// The question whether the user may do this in all namespaces. Pure.
fn review(verb: &str, resource: &str) -> SelfSubjectAccessReview {
    let (resource, subresource) = match resource.split_once('/') {
        Some((resource, subresource)) => (resource, Some(subresource.to_owned())),
        None => (resource, None),
    };
    let resource_attributes = ResourceAttributes {
        verb: Some(verb.to_owned()),
        group: Some(String::new()),
        resource: Some(resource.to_owned()),
        subresource,
        ..ResourceAttributes::default()
    };
    SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(resource_attributes),
            ..SelfSubjectAccessReviewSpec::default()
        },
        ..SelfSubjectAccessReview::default()
    }
}

/// A node by its Kubernetes object, or why it cannot take part. Pure.
fn node(listed: &Node) -> Result<AttachedNode, &'static str> {
    let status = listed.status.clone().unwrap_or_default();
    let spec = listed.spec.clone().unwrap_or_default();
    let ready = |kind: &str, value: &str| kind == "Ready" && value == "True";
    let conditions = status.conditions.unwrap_or_default();
    if !conditions.iter().any(|condition| ready(&condition.type_, &condition.status)) {
        return Err("is not ready");
    }
    if status.node_info.is_some_and(|info| info.operating_system != "linux") {
        return Err("does not run Linux");
    }
    let internal = status.addresses.unwrap_or_default().into_iter();
    let internal = internal.filter(|address| address.type_ == "InternalIP");
    let address = internal.filter_map(|address| match address.address.parse() {
        Ok(IpAddr::V4(address)) => Some(address),
        _ => None,
    });
    let labels = listed.metadata.labels.clone().unwrap_or_default();
    let leads = labels.contains_key("node-role.kubernetes.io/control-plane");
    Ok(AttachedNode {
        name: listed.metadata.name.clone().unwrap_or_default(),
        role: if leads { Role::ControlPlane } else { Role::Worker },
        address: { address }.next().ok_or("has no IPv4 address of the type InternalIP")?,
        pod_cidrs: spec.pod_cidrs.unwrap_or_default().iter().filter_map(|net| net.parse().ok()).collect(),
    })
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use serde_json::json;

    use super::*;

    fn listed_node(ready: &str, addresses: &[(&str, &str)]) -> Node {
        let addresses: Vec<_> =
            addresses.iter().map(|(kind, address)| json!({ "type": kind, "address": address })).collect();
        let node = json!({
            "metadata": { "name": "n1", "labels": { "node-role.kubernetes.io/control-plane": "" } },
            "spec": { "podCIDRs": ["10.244.1.0/24", "fd00:1::/64"] },
            "status": { "conditions": [{ "type": "Ready", "status": ready }], "addresses": addresses },
        });
        serde_json::from_value(node).unwrap()
    }

    #[test]
    fn a_node_takes_part_if_it_is_ready_and_has_an_ipv4_address() {
        let all = [("ExternalIP", "203.0.113.7"), ("InternalIP", "fd00::7"), ("InternalIP", "192.0.2.7")];
        let expected = AttachedNode {
            name: "n1".to_owned(),
            role: Role::ControlPlane,
            address: Ipv4Addr::new(192, 0, 2, 7),
            pod_cidrs: vec!["10.244.1.0/24".parse().unwrap()],
        };
        assert_eq!(node(&listed_node("True", &all)), Ok(expected));
        assert_eq!(node(&listed_node("Unknown", &all)), Err("is not ready"));
        let v6 = node(&listed_node("True", &all[..2]));
        assert_eq!(v6, Err("has no IPv4 address of the type InternalIP"));
    }

    #[test]
    fn a_subresource_is_asked_as_such() {
        let attributes = review("create", "pods/exec").spec.resource_attributes.unwrap();
        assert_eq!(
            (attributes.resource.as_deref(), attributes.subresource.as_deref()),
            (Some("pods"), Some("exec"))
        );
        assert_eq!(attributes.namespace, None, "in all namespaces");
    }
}
