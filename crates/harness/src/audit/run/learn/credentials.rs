//! The credentials of an instance, client certificates and tokens, in the form in which an attacker would use them.

use k8s_openapi::ByteString;
use kube::config::AuthInfo;
use secrecy::ExposeSecret;

use crate::audit::{ClientCertificate, CredentialSet, KnownCertificate, Secret};
use crate::cluster::TestCluster;

use super::InstanceProbes;

/// The credentials of an instance.
pub(super) fn of(
    cluster: &TestCluster,
    deployed: &InstanceProbes,
    certificates: Option<Vec<KnownCertificate>>,
) -> CredentialSet {
    CredentialSet {
        administrator: administrator(cluster),
        certificates,
        service_account: deployed.account().cloned(),
        bootstrap: deployed.token().cloned(),
    }
}

/// The administrator's certificate and key, from the isolated kubeconfig. `None` when it cannot be read.
pub(in crate::audit) fn administrator(cluster: &TestCluster) -> Option<ClientCertificate> {
    let config = kube::config::Kubeconfig::read_from(cluster.kubeconfig()).ok()?;
    in_user(&config.auth_infos.into_iter().next()?.auth_info?)
}

/// The client certificate and key in the entry of a kubeconfig's user. Pure.
pub(super) fn in_user(user: &AuthInfo) -> Option<ClientCertificate> {
    Some(ClientCertificate {
        certificate: decoded(user.client_certificate_data.as_deref()?)?,
        key: Secret::new(decoded(user.client_key_data.as_ref()?.expose_secret())?),
    })
}

/// The text in a field of a kubeconfig whose name ends in `-data`. `None` if it is not base64 of UTF-8. Pure.
pub(super) fn decoded(data: &str) -> Option<String> {
    let ByteString(bytes) = serde_json::from_value(data.into()).ok()?;
    String::from_utf8(bytes).ok()
}
