//! What opens an instance's doors: certificates and tokens, each as whoever got hold of it would show it.

use k8s_openapi::ByteString;
use provisioner::kubernetes::PKI;

use crate::audit::{ClientCertificate, CredentialSet, Secret};
use crate::cluster::TestCluster;

use super::Stage;

/// What opens an instance's doors; what it shows to etcd is learnt elsewhere.
pub(super) fn of(cluster: &TestCluster, stage: &Stage, etcd: Option<ClientCertificate>) -> CredentialSet {
    CredentialSet {
        administrator: administrator(cluster),
        etcd,
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

/// The files on a cluster's first node that the API server shows to etcd (kubeadm, "apiserver-etcd-client").
pub(super) fn etcd_files() -> [String; 2] {
    ["crt", "key"].map(|extension| format!("{PKI}/apiserver-etcd-client.{extension}"))
}

/// What those files say.
pub(super) fn etcd(said: Vec<String>) -> Option<ClientCertificate> {
    let [certificate, key]: [String; 2] = said.try_into().ok()?;
    Some(ClientCertificate { certificate, key: Secret::new(key) })
}
