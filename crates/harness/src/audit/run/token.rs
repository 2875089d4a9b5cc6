//! A token to join with, for as long as a run takes: an instance that is up has none left that could be shown (C4).

use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use serde_json::{Value, json};

use crate::cluster::TestCluster;

use super::StageError;

/// How long the token is of use, should its removal fail: the cluster's token cleaner takes it then.
const LIFETIME: jiff::SignedDuration = jiff::SignedDuration::from_mins(10);

/// Makes the token of a run.
pub(super) async fn make(cluster: &TestCluster, run: u32) -> Result<(), StageError> {
    let mut random = [0; 8];
    let drawn = rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty());
    drawn.map_err(|source| StageError::Ask(Box::new(std::io::Error::from(source))))?;
    let expires = jiff::Timestamp::now() + LIFETIME;
    let secret =
        serde_json::from_value(manifest(run, &format!("{:016x}", u64::from_le_bytes(random)), expires));
    let secret: Secret = secret.expect("a manifest of ours is one");
    let made = secrets(cluster).create(&PostParams::default(), &secret).await;
    made.map(drop).map_err(failed(cluster, "make a bootstrap token"))
}

/// Removes the token of a run; none being there is fine.
pub(super) async fn remove(cluster: &TestCluster, run: u32) -> Result<(), StageError> {
    match secrets(cluster).delete(&name(run), &DeleteParams::default()).await {
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
        deleted => deleted.map(drop).map_err(failed(cluster, "remove the bootstrap token")),
    }
}

/// As kubeadm writes them (Kubernetes, "Bootstrap Token Secret Format"). It signs nothing, and can do nothing but be
/// told apart from a token that is wrong.
fn manifest(run: u32, secret: &str, expires: jiff::Timestamp) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": { "name": name(run), "namespace": "kube-system" },
        "type": "bootstrap.kubernetes.io/token",
        "stringData": {
            "token-id": id(run),
            "token-secret": secret,
            "expiration": format!("{expires:.0}"),
            "usage-bootstrap-authentication": "true",
        },
    })
}

fn id(run: u32) -> String {
    format!("{:06x}", run & 0x00ff_ffff)
}

fn name(run: u32) -> String {
    format!("bootstrap-token-{}", id(run))
}

fn secrets(cluster: &TestCluster) -> Api<Secret> {
    Api::namespaced(cluster.client(), "kube-system")
}

fn failed(cluster: &TestCluster, attempt: &str) -> impl FnOnce(kube::Error) -> StageError {
    let (attempt, instance) = (attempt.to_owned(), cluster.name().to_owned());
    move |source| StageError::Api { attempt, instance, source: Box::new(source) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_the_form_that_clusters_know_and_an_end() {
        let expires = "2026-01-02T03:04:05.678Z".parse().expect("a time");
        insta::assert_yaml_snapshot!(manifest(0x1a2b_3c4d, "0123456789abcdef", expires), @r#"
        apiVersion: v1
        kind: Secret
        metadata:
          name: bootstrap-token-2b3c4d
          namespace: kube-system
        stringData:
          expiration: "2026-01-02T03:04:05Z"
          token-id: 2b3c4d
          token-secret: 0123456789abcdef
          usage-bootstrap-authentication: "true"
        type: bootstrap.kubernetes.io/token
        "#);
    }
}
