//! Who a cluster is: recorded when it comes up, and checked before anything is done to it.
//!
//! Files get copied, contexts renamed, addresses reused: a name alone proves nothing. So each link of the chain
//! *context → server → certificate authority → UID of `kube-system`* is compared with what was recorded, and the
//! first that differs stops whatever was about to be done. The UID is what Kubernetes never gives twice.

use camino::{Utf8Path, Utf8PathBuf};
use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Client};
use serde::{Deserialize, Serialize};

use crate::home::Home;
use crate::kubeconfig::{self, Endpoint, KubeconfigError};
use crate::registry::{Instance, RegistryError};

/// The namespace whose UID stands for the whole cluster, by convention (OpenTelemetry, `k8s.cluster.uid`).
pub const NAMESPACE: &str = "kube-system";

/// What tells a cluster from all others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Identity {
    /// Where its API server answers, as in its kubeconfig.
    pub server: String,
    /// SHA-256 of the certificate that vouches for the API server.
    pub authority: String,
    /// The UID of namespace `kube-system`.
    pub uid: String,
}

/// Why it is not certain that a cluster is the one that it should be.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// It is another one. Nothing has been done to it.
    #[error("{place} does not lead to '{instance}': its {what} is {found}, and {recorded} was recorded")]
    Mismatch {
        /// The instance that was meant.
        instance: String,
        /// The kubeconfig, or the API server.
        place: String,
        /// The link of the chain: `context`, `server`, `certificate authority`, `UID of kube-system`.
        what: &'static str,
        /// What it is.
        found: String,
        /// What it was when the instance came up.
        recorded: String,
    },
    /// The kubeconfig is not there or cannot be used.
    #[error(transparent)]
    Kubeconfig(#[from] KubeconfigError),
    /// The kubeconfig is not there.
    #[error("{path} is not there")]
    NoFile {
        /// Which.
        path: Utf8PathBuf,
    },
    /// The registry cannot be read.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The API server does not tell.
    #[error("ask {server} who it is")]
    Unanswered {
        /// Which.
        server: String,
        /// What it says.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl IdentityError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Mismatch { instance, .. } => Some(format!(
                "`homelab k8s kubeconfig {instance} --renew` writes its kubeconfigs anew, from its own nodes; \
                 if it has none any more, remove its folder's kubeconfig"
            )),
            Self::Kubeconfig(error) => error.hint(),
            Self::Registry(error) => error.hint(),
            Self::NoFile { .. } | Self::Unanswered { .. } => None,
        }
    }
}

/// Checks that an instance's isolated kubeconfig leads where it led when the instance came up. An instance that never
/// did has nothing recorded, and nothing to compare.
///
/// # Errors
/// [`IdentityError::Mismatch`] with both values, or the file cannot be read.
pub fn check_isolated(instance: &Instance, path: &Utf8Path) -> Result<(), IdentityError> {
    if !path.exists() {
        return Err(IdentityError::NoFile { path: path.to_owned() });
    }
    let current = kubeconfig::current_in(path)?;
    let endpoint = kubeconfig::endpoint_in(path, &instance.k8s.kubeconfig_context)?;
    check_endpoint(instance, path, endpoint.as_ref(), current)
}

/// The same for its context in the user's kubeconfig.
///
/// # Errors
/// As [`check_isolated`]; also when there is no such context.
pub fn check_merged(home: &Home, instance: &Instance) -> Result<(), IdentityError> {
    let context = &instance.k8s.kubeconfig_context;
    let path = home.merged_kubeconfig();
    let Some(endpoint) = kubeconfig::endpoint(home, context)? else {
        return Err(KubeconfigError::NoContext { path: path.to_owned(), name: context.clone() }.into());
    };
    check_endpoint(instance, path, Some(&endpoint), None)
}

fn check_endpoint(
    instance: &Instance,
    path: &Utf8Path,
    endpoint: Option<&Endpoint>,
    current: Option<String>,
) -> Result<(), IdentityError> {
    let Some(recorded) = &instance.k8s.identity else { return Ok(()) };
    let context = &instance.k8s.kubeconfig_context;
    let differs = |what, found: &str, recorded: &str| IdentityError::Mismatch {
        instance: instance.name.clone(),
        place: format!("context '{context}' in {path}"),
        what,
        found: found.to_owned(),
        recorded: recorded.to_owned(),
    };
    let Some(endpoint) = endpoint else {
        return Err(differs("context", current.as_deref().unwrap_or("missing"), context));
    };
    if endpoint.server != recorded.server {
        return Err(differs("server", &endpoint.server, &recorded.server));
    }
    let authority = endpoint.authority.as_deref().unwrap_or("missing");
    if authority != recorded.authority {
        return Err(differs("certificate authority", authority, &recorded.authority));
    }
    Ok(())
}

/// Checks that the cluster which answers a client is the one that came up under the instance's name.
///
/// # Errors
/// [`IdentityError::Mismatch`] with both UIDs, or [`IdentityError::Unanswered`].
pub async fn check_cluster(instance: &Instance, client: Client) -> Result<(), IdentityError> {
    let Some(recorded) = &instance.k8s.identity else { return Ok(()) };
    let unanswered = |source: kube::Error| IdentityError::Unanswered {
        server: recorded.server.clone(),
        source: source.into(),
    };
    let namespaces: Api<Namespace> = Api::all(client);
    let found = namespaces.get(NAMESPACE).await.map_err(unanswered)?.metadata.uid.unwrap_or_default();
    if found == recorded.uid {
        return Ok(());
    }
    Err(IdentityError::Mismatch {
        instance: instance.name.clone(),
        place: recorded.server.clone(),
        what: "UID of kube-system",
        found,
        recorded: recorded.uid.clone(),
    })
}
