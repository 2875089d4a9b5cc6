//! What opens an instance's doors: certificates and tokens, each as whoever got hold of it would show it.

use k8s_openapi::ByteString;

use crate::audit::{ClientCertificate, CredentialSet, Secret};
use crate::cluster::{TestCluster, TestNode};

use super::{Stage, files};

/// What opens an instance's doors.
pub(super) async fn of(cluster: &TestCluster, stage: &Stage) -> CredentialSet {
    CredentialSet {
        administrator: administrator(cluster),
        etcd: match cluster.nodes().first() {
            Some(plane) => etcd(plane).await,
            None => None,
        },
        service_account: stage.account().cloned(),
        bootstrap: stage.token().cloned(),
    }
}

/// The administrator's certificate, as the kubeconfig has it.
pub(in crate::audit) fn administrator(cluster: &TestCluster) -> Option<ClientCertificate> {
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
    let of = |extension| format!("/etc/kubernetes/pki/apiserver-etcd-client.{extension}");
    let files: [String; 2] = files::read(plane, &["crt", "key"].map(of)).await?.try_into().ok()?;
    let [certificate, key] = files;
    Some(ClientCertificate { certificate, key: Secret::new(key) })
}
