//! A bootstrap token of the run's own, since that of the bring-up is gone with the last join. It says who shows it and
//! opens nothing more: no node can join by it.
//!
//! It is no part of the run's namespace. [`remove`] takes it away, and if nobody comes to do so, the token cleaner of
//! the controller manager does when it ends.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Secret as KubeSecret;
use kube::api::{DeleteParams, PostParams};
use kube::{Api, Client};
use provisioner::kubeadm::Ticket;
use serde_json::json;

use crate::audit::Secret;

/// Where the API server looks for tokens, and what it takes them by (Kubernetes, "Bootstrap Token Secret Format").
const NAMESPACE: &str = "kube-system";
const KIND: &str = "bootstrap.kubernetes.io/token";
/// How long it is good: longer than any run.
const LIFETIME: SignedDuration = SignedDuration::from_mins(10);

/// Makes the token of a run; nothing when the API server or the kernel refuses.
pub(super) async fn make(client: Client, run: &str) -> Option<Secret> {
    let drawn = Ticket::draw().ok()?;
    let (_, half) = drawn.token().reveal().split_once('.')?;
    let end = Timestamp::now().checked_add(LIFETIME).ok()?;
    let secret = json!({
        "metadata": { "name": name(run) },
        "type": KIND,
        "stringData": {
            "token-id": id(run),
            "token-secret": half,
            "expiration": end.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            "usage-bootstrap-authentication": "true",
        },
    });
    let secrets: Api<KubeSecret> = Api::namespaced(client, NAMESPACE);
    let secret = serde_json::from_value(secret).expect("a manifest of ours is one");
    secrets.create(&PostParams::default(), &secret).await.ok()?;
    Some(Secret::new(format!("{}.{half}", id(run))))
}

/// Removes it. None being there is fine.
///
/// # Errors
/// What the API server says.
pub(super) async fn remove(client: Client, run: &str) -> Result<(), kube::Error> {
    let secrets: Api<KubeSecret> = Api::namespaced(client, NAMESPACE);
    match secrets.delete(&name(run), &DeleteParams::default()).await {
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
        removed => removed.map(drop),
    }
}

fn name(run: &str) -> String {
    format!("bootstrap-token-{}", id(run))
}

/// The public half, six letters and digits: the last of the run's namespace.
fn id(run: &str) -> &str {
    run.get(run.len().saturating_sub(6)..).unwrap_or(run)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::Stage;

    #[test]
    fn the_token_of_a_run_has_a_name_that_the_api_server_takes() {
        for run in [0, 0x1a2b_3c4d, u32::MAX] {
            let run = Stage::namespace_of(run);
            let id = id(&run);
            assert_eq!(id.len(), 6, "{run}");
            assert!(id.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()), "{id}");
        }
    }
}
