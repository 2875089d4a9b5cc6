//! What opens an instance's doors: certificates and tokens, each as whoever got hold of it would show it.

use k8s_openapi::ByteString;
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::Api;
use kube::api::PostParams;

use crate::audit::{ClientCertificate, CredentialSet, Secret};
use crate::cluster::{TestCluster, TestNode};

use super::Stage;

/// How long a token of a service account is good, in seconds: the least that the API server gives.
const TOKEN_SECONDS: i64 = 600;

/// What opens an instance's doors.
pub(super) async fn of(cluster: &TestCluster, stage: &Stage) -> CredentialSet {
    CredentialSet {
        administrator: administrator(cluster),
        etcd: match cluster.nodes().first() {
            Some(plane) => etcd(plane).await,
            None => None,
        },
        service_account: service_account(cluster, stage.namespace()).await,
        bootstrap: stage.token().cloned(),
    }
}

fn administrator(cluster: &TestCluster) -> Option<ClientCertificate> {
    let config = kube::config::Kubeconfig::read_from(cluster.kubeconfig()).ok()?;
    let user = config.auth_infos.into_iter().next()?.auth_info?;
    let decoded = |data: &str| {
        let ByteString(bytes) = serde_json::from_value(data.into()).ok()?;
        String::from_utf8(bytes).ok()
    };
    let key = user.client_key_data.as_ref()?;
    Some(ClientCertificate {
        certificate: decoded(user.client_certificate_data.as_deref()?)?,
        key: Secret::new(decoded(secrecy::ExposeSecret::expose_secret(key))?),
    })
}

/// What the API server shows to etcd (kubeadm, "apiserver-etcd-client").
async fn etcd(plane: &TestNode) -> Option<ClientCertificate> {
    let file = async |extension: &str| {
        plane.read(&format!("/etc/kubernetes/pki/apiserver-etcd-client.{extension}")).await.ok()
    };
    Some(ClientCertificate { certificate: file("crt").await?, key: Secret::new(file("key").await?) })
}

/// A token of the account that every workload has. It ends with the namespace of the run.
async fn service_account(cluster: &TestCluster, namespace: &str) -> Option<Secret> {
    let accounts: Api<ServiceAccount> = Api::namespaced(cluster.client(), namespace);
    let spec = TokenRequestSpec { expiration_seconds: Some(TOKEN_SECONDS), ..TokenRequestSpec::default() };
    let request = TokenRequest { spec, ..TokenRequest::default() };
    let given = accounts.create_token_request("default", &PostParams::default(), &request).await.ok()?;
    Some(Secret::new(given.status?.token))
}
