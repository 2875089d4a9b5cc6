//! The tokens that an audit makes: a bootstrap token and a service-account token.
//!
//! The bootstrap token that joined the nodes is deleted after the last join, so an audit makes one. It authenticates
//! its bearer and allows nothing else: no node can join with it. It is not in the audit's namespace. [`remove`] deletes
//! it; otherwise the token cleaner of the controller manager does when the token expires.

use std::hash::{DefaultHasher, Hash, Hasher};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Secret as KubeSecret, ServiceAccount};
use kube::api::{DeleteParams, PostParams};
use kube::{Api, Client};
use provisioner::kubeadm::BootstrapToken;
use serde_json::json;

use crate::audit::Secret;

/// The namespace and the type of the secrets that the API server accepts as bootstrap tokens (Kubernetes, "Bootstrap
/// Token Secret Format").
const NAMESPACE: &str = "kube-system";
const KIND: &str = "bootstrap.kubernetes.io/token";
/// The lifetime of both tokens, longer than an audit or a self-test takes.
const LIFETIME: SignedDuration = SignedDuration::from_mins(60);

/// Makes the bootstrap token of an audit in an instance. `None` when the API server refuses or the kernel gives no
/// random bytes.
pub(super) async fn make(client: Client, run: u32, instance: &str) -> Option<Secret> {
    let drawn = BootstrapToken::draw().ok()?;
    let (_, half) = drawn.token().reveal().split_once('.')?;
    let end = Timestamp::now().checked_add(LIFETIME).ok()?;
    let id = id(run, instance);
    let secret = json!({
        "metadata": { "name": name(run, instance) },
        "type": KIND,
        "stringData": {
            "token-id": id,
            "token-secret": half,
            "expiration": end.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            "usage-bootstrap-authentication": "true",
        },
    });
    let secrets: Api<KubeSecret> = Api::namespaced(client, NAMESPACE);
    let secret = serde_json::from_value(secret).expect("the audit's manifests are valid");
    secrets.create(&PostParams::default(), &secret).await.ok()?;
    Some(Secret::new(format!("{id}.{half}")))
}

/// Deletes the bootstrap token of an audit. Succeeds where there is none.
///
/// # Errors
/// The API server's answer; the token is left until it expires.
pub(super) async fn remove(client: Client, run: u32, instance: &str) -> Result<(), kube::Error> {
    let secrets: Api<KubeSecret> = Api::namespaced(client, NAMESPACE);
    match secrets.delete(&name(run, instance), &DeleteParams::default()).await {
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
        removed => removed.map(drop),
    }
}

/// A token of the service account `default`, which every workload has. It becomes invalid with the audit's namespace.
pub(super) async fn of_account(client: Client, namespace: &str) -> Option<Secret> {
    let accounts: Api<ServiceAccount> = Api::namespaced(client, namespace);
    let spec =
        TokenRequestSpec { expiration_seconds: Some(LIFETIME.as_secs()), ..TokenRequestSpec::default() };
    let request = TokenRequest { spec, ..TokenRequest::default() };
    let given = accounts.create_token_request("default", &PostParams::default(), &request).await.ok()?;
    Some(Secret::new(given.status?.token))
}

fn name(run: u32, instance: &str) -> String {
    format!("bootstrap-token-{}", id(run, instance))
}

/// The public half of the token, six letters and digits. It differs between the instances of an audit, so that a token
/// of A is unknown to B, and not only wrong. Pure.
fn id(run: u32, instance: &str) -> String {
    let mut hasher = DefaultHasher::new();
    (run, instance).hash(&mut hasher);
    format!("{:06x}", hasher.finish() & 0x00ff_ffff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_instance_of_a_run_has_a_token_of_its_own_whose_name_the_api_server_takes() {
        for run in [0, 0x1a2b_3c4d, u32::MAX] {
            let id = id(run, "acme");
            assert_eq!(id.len(), 6, "{run}");
            assert!(id.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()), "{id}");
            assert_ne!(id, super::id(run, "globex"));
        }
    }
}
