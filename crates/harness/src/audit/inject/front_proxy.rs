//! The injection of a second authority into the file of front-proxy authorities.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{Patch, PatchParams};
use probe::Credentials;
use provisioner::kubernetes::PKI;
use serde_json::json;

use super::access::Access;
use super::changes::Changes;
use super::control::{api_of, close_behind, missing, plane, planes};
use super::{InjectError, Pair};

/// The user that the front proxy of the source names to the target's API server (kube-apiserver,
/// `--requestheader-username-headers`).
const ADMINISTRATOR: &[(&str, &str)] = &[("X-Remote-User", "injected"), ("X-Remote-Group", "system:masters")];
/// The API server publishes its front-proxy authorities here for the servers of aggregated APIs, and never removes one
/// (Kubernetes, `clusterauthenticationtrust`).
const PUBLISHED: (&str, &str, &str) =
    ("kube-system", "extension-apiserver-authentication", "requestheader-client-ca-file");

/// The target's API server also believes the front proxy of the source who a client is. The source's front proxy is an
/// administrator there. The API server reads the file again when it changes.
pub(super) async fn foreign_authority(pair: &Pair<'_>, changes: &mut Changes) -> Result<(), InjectError> {
    let ours = plane(pair.from)?;
    let read = async |file: &str| ours.read(&format!("{PKI}/{file}")).await;
    let credentials = Credentials::Certificate {
        certificate: read("front-proxy-client.crt").await?,
        key: read("front-proxy-client.key").await?,
    };
    let authority = read("front-proxy-ca.crt").await?;
    let access = Access { headers: ADMINISTRATOR, ..api_of(pair.target, credentials) };
    published_again(pair, changes).await?;
    close_behind(&access, changes);
    for node in planes(pair)? {
        let file = format!("{PKI}/front-proxy-ca.crt");
        changes.edit_on(node, &file, |theirs| format!("{}\n{authority}", theirs.trim_end())).await?;
    }
    access.until(true).await
}

/// Pushes an undo that publishes the target's present front-proxy authorities again.
async fn published_again(pair: &Pair<'_>, changes: &mut Changes) -> Result<(), InjectError> {
    let (namespace, name, key) = PUBLISHED;
    let refused = |attempt| {
        let cluster = pair.target.name.clone();
        move |source| InjectError::Api { attempt, cluster, source: Box::new(source) }
    };
    let maps: Api<ConfigMap> = Api::namespaced(pair.to.client(), namespace);
    let map = maps.get(name).await.map_err(refused("read the published authorities"))?;
    let before = map.data.and_then(|mut data| data.remove(key));
    let before = before.ok_or_else(|| missing("a published front-proxy authority", pair.target))?;
    let place = pair.to.clone();
    changes.undos.push(
        format!("publish the front-proxy authorities of {} again", pair.target.name),
        move || {
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
        },
    );
    Ok(())
}
