//! Injections of an authority of the source into a file of authorities that the target's API servers trust.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{Patch, PatchParams};
use probe::Credentials;
use provisioner::kubernetes::{CA, PKI};
use serde_json::json;

use super::access::Access;
use super::changes::Changes;
use super::control::{api_of, close_behind, missing, plane, planes};
use super::{InjectError, Pair};

/// The API server publishes its authorities here for the servers of aggregated APIs, and never removes one (Kubernetes,
/// `clusterauthenticationtrust`).
const PUBLISHED: (&str, &str) = ("kube-system", "extension-apiserver-authentication");

/// The target's API server accepts client certificates of the source's cluster CA as well.
pub(super) async fn foreign_clients(pair: &Pair<'_>, changes: &mut Changes) -> Result<(), InjectError> {
    let shown = pair.source.credentials.administrator.as_ref();
    let shown = shown.ok_or_else(|| missing("an administrator's certificate", pair.source))?;
    let certificate = shown.certificate.clone();
    let credentials = Credentials::Certificate { certificate, key: shown.key.reveal().to_owned() };
    let access = api_of(pair, credentials);
    trust_also(pair, changes, &access, (CA, "client-ca-file")).await
}

/// The target's API server also believes the front proxy of the source who a client is. The source's front proxy is an
/// administrator there.
pub(super) async fn foreign_authority(pair: &Pair<'_>, changes: &mut Changes) -> Result<(), InjectError> {
    let ours = plane(pair.from)?;
    let read = async |file: &str| ours.read(&format!("{PKI}/{file}")).await;
    let credentials =
        administrator(read("front-proxy-client.crt").await?, read("front-proxy-client.key").await?);
    let access = api_of(pair, credentials);
    let file = format!("{PKI}/front-proxy-ca.crt");
    trust_also(pair, changes, &access, (&file, "requestheader-client-ca-file")).await
}

/// The credentials of a front proxy that speaks for an administrator (kube-apiserver,
/// `--requestheader-username-headers`).
pub(super) fn administrator(certificate: String, key: String) -> Credentials {
    let (user, group) = ("injected".to_owned(), "system:masters".to_owned());
    Credentials::FrontProxy { certificate, key, user, group }
}

/// Adds the source's authority in a file to the same file of the target's API servers, which read it again when it
/// changes. Waits until they accept `access`. The API server publishes the file's authorities under the name `published`.
async fn trust_also(
    pair: &Pair<'_>,
    changes: &mut Changes,
    access: &Access,
    (file, published): (&str, &'static str),
) -> Result<(), InjectError> {
    let ours = plane(pair.from)?.read(file).await?;
    publish_again(pair, changes, published).await?;
    close_behind(access, changes);
    for node in planes(pair)? {
        changes.edit_on(node, file, |theirs| format!("{}\n{ours}", theirs.trim_end())).await?;
    }
    access.until(true).await
}

/// Pushes an undo that publishes the target's present authorities under this name again.
pub(super) async fn publish_again(
    pair: &Pair<'_>,
    changes: &mut Changes,
    key: &'static str,
) -> Result<(), InjectError> {
    let (namespace, name) = PUBLISHED;
    let refused = |attempt| {
        let cluster = pair.target.name.clone();
        move |source| InjectError::Api { attempt, cluster, source: Box::new(source) }
    };
    let maps: Api<ConfigMap> = Api::namespaced(pair.to.client(), namespace);
    let map = maps.get(name).await.map_err(refused("read the published authorities"))?;
    let before = map.data.and_then(|mut data| data.remove(key));
    let before = before.ok_or_else(|| missing("a published authority", pair.target))?;
    let place = pair.to.clone();
    changes.undos.push(format!("publish the authorities of {} again", pair.target.name), move || {
        let (place, before) = (place.clone(), before.clone());
        async move {
            let maps: Api<ConfigMap> = Api::namespaced(place.fresh_client().await?, namespace);
            let data = Patch::Merge(json!({ "data": { key: before } }));
            let patched = maps.patch(name, &PatchParams::default(), &data).await;
            patched.map(drop).map_err(|source| InjectError::Api {
                attempt: "publish the authorities again",
                cluster: place.name().to_owned(),
                source: Box::new(source),
            })
        }
    });
    Ok(())
}
