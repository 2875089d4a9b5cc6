//! Removes a [`InstanceProbes`]: at the end of its audit, and before the next audit where the process of an audit was killed.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::api::{DeleteParams, ListParams};
use kube::{Api, Client};
use provisioner::registry::Owner;
use provisioner::slowdown::Stretched;
use tokio::time::timeout;

use super::instance_probes::TIMEOUT;
use super::lease::Owned;
use super::{InstanceProbes, ProbedCluster, ProbesError, manifest, token};
use crate::wait::{self, Wait};

impl InstanceProbes {
    /// Removes everything that an audit has deployed in an instance, and waits until it is gone. Succeeds where there
    /// is nothing. May be called from another runtime than [`InstanceProbes::deploy`].
    ///
    /// # Errors
    /// [`ProbesError`] with the object that is left.
    pub async fn remove<'a>(cluster: impl Into<ProbedCluster<'a>>, run: u32) -> Result<(), ProbesError> {
        let cluster = cluster.into();
        let (client, instance) = (cluster.fresh_client().await?, cluster.name());
        let refused = |source| ProbesError::Api {
            attempt: "delete the bootstrap token".to_owned(),
            instance: instance.to_owned(),
            source: Box::new(source),
        };
        let within = cluster.slowdown().stretch(TIMEOUT);
        let token = timeout(within.on_clock(), token::remove(client.clone(), run, instance)).await;
        remove(&client, instance, &Self::namespace_of(run), within).await?;
        token.unwrap_or(Ok(())).map_err(refused) // no error after a time-out: `remove` fails then
    }
}

/// Removes the namespaces of earlier audits that were abandoned. `this` is the process of the present audit. Namespaces
/// of audits that other hosts run stay.
pub(super) async fn sweep(cluster: ProbedCluster<'_>, this: &Owner) -> Result<(), ProbesError> {
    let (client, instance) = (cluster.client(), cluster.name());
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let refused = |source| ProbesError::Api {
        attempt: "list the namespaces of earlier audits".to_owned(),
        instance: instance.to_owned(),
        source: Box::new(source),
    };
    let found = namespaces.list(&ListParams::default().labels(manifest::OWNED)).await.map_err(refused)?;
    let (found, now) = (found.into_iter().filter_map(Owned::read), Timestamp::now());
    let abandoned: Vec<Owned> = found.filter(|namespace| namespace.is_abandoned(this, now)).collect();
    let within = cluster.slowdown().stretch(TIMEOUT);
    let removed = abandoned.iter().map(|namespace| remove(&client, instance, &namespace.name, within));
    futures::future::try_join_all(removed).await.map(drop)
}

async fn remove(client: &Client, instance: &str, name: &str, within: Stretched) -> Result<(), ProbesError> {
    let (attempt, instance) = (format!("delete the namespace {name}"), instance.to_owned());
    let late = || ProbesError::Late { attempt: attempt.clone(), instance: instance.clone(), within };
    let (namespaces, pods): (Api<Namespace>, Api<Pod>) =
        (Api::all(client.clone()), Api::namespaced(client.clone(), name));
    // The namespace controller waits for five seconds before it deletes the objects of a namespace, and retries seconds
    // later where pods are still terminating (`namespaceDeletionGracePeriod`). So the pods are deleted at once.
    let now = DeleteParams::default();
    drop(timeout(within.on_clock(), pods.delete_collection(&now, &ListParams::default())).await);
    let deleted = timeout(within.on_clock(), namespaces.delete(name, &now)).await;
    match deleted.map_err(|_| late())? {
        Err(kube::Error::Api(status)) if status.is_not_found() => return Ok(()),
        Err(source) => {
            return Err(ProbesError::Api { attempt, instance, source: Box::new(source) });
        }
        Ok(_) => {}
    }
    let gone = wait::until(format!("namespace {name} to go"), within, async || {
        Ok(match namespaces.get_opt(name).await? {
            None => Wait::Done(()),
            Some(_) => Wait::NotYet("it is still there".to_owned()),
        })
    });
    gone.await.map_err(|source| ProbesError::Wait { instance, source: Box::new(source) })
}
