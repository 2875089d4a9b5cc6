//! What opens an instance's doors: certificates and tokens, each as whoever got hold of it would show it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Secret as KubeSecret, ServiceAccount};
use kube::Api;
use kube::api::{ListParams, PostParams};

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
        bootstrap: bootstrap(cluster).await,
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

/// A token to join with, as long as there is one.
async fn bootstrap(cluster: &TestCluster) -> Option<Secret> {
    let secrets: Api<KubeSecret> = Api::namespaced(cluster.client(), "kube-system");
    let of_kind = ListParams::default().fields("type=bootstrap.kubernetes.io/token");
    let now = Timestamp::now();
    secrets.list(&of_kind).await.ok()?.into_iter().find_map(|secret| join_token(&secret.data?, now))
}

/// The token of a secret that still lets in (Kubernetes, "Bootstrap Token Secret Format").
fn join_token(data: &BTreeMap<String, ByteString>, now: Timestamp) -> Option<Secret> {
    let part = |key: &str| String::from_utf8(data.get(key)?.0.clone()).ok();
    let lets_in = part("usage-bootstrap-authentication").as_deref() == Some("true");
    // Without an end it lasts; an end that cannot be read is one.
    let lasts = part("expiration").is_none_or(|end| end.parse::<Timestamp>().is_ok_and(|end| end > now));
    (lets_in && lasts)
        .then(|| Some(Secret::new(format!("{}.{}", part("token-id")?, part("token-secret")?))))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_counts_as_long_as_it_lets_in() {
        let now: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
        let of = |usage: &str, end: Option<&str>| {
            let fields = [
                ("token-id", Some("abcdef")),
                ("token-secret", Some("0123456789abcdef")),
                ("usage-bootstrap-authentication", Some(usage)),
                ("expiration", end),
            ];
            let field =
                |(key, value): (&str, Option<&str>)| Some((key.to_owned(), ByteString(value?.into())));
            let data: BTreeMap<_, _> = fields.into_iter().filter_map(field).collect();
            join_token(&data, now).map(|token| token.reveal().to_owned())
        };
        let whole = Some("abcdef.0123456789abcdef".to_owned());
        assert_eq!(of("true", None), whole);
        assert_eq!(of("true", Some("2026-11-21T12:00:01Z")), whole);
        assert_eq!(of("true", Some("2026-11-21T11:59:59Z")), None);
        assert_eq!(of("true", Some("some day")), None);
        assert_eq!(of("false", None), None, "as kubeadm's token for uploaded certificates");
    }
}
