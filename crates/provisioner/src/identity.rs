//! The identity of a cluster: recorded when the cluster comes up, and checked before every operation on it.
//!
//! Files get copied, contexts renamed, addresses reused, so a name alone proves nothing. The check compares each link
//! of the chain *context → server → certificate authority → UID of `kube-system`* with the recorded value, and the
//! first link that differs stops the operation. Kubernetes never assigns the same UID twice.

use camino::{Utf8Path, Utf8PathBuf};
use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Client};

use crate::error::Hint;
use crate::home::Home;
use crate::kubeconfig::{self, Endpoint, KubeconfigError};
use crate::registry::{Instance, RegistryError};

/// The namespace whose UID identifies the cluster, by convention (OpenTelemetry, `k8s.cluster.uid`).
pub const NAMESPACE: &str = "kube-system";

/// Why the identity of a cluster is wrong or uncertain.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The kubeconfig or the API server belongs to another cluster. Nothing has been done to that cluster.
    #[error("{place} does not belong to '{instance}': its {what} is {found}, but {recorded} was recorded")]
    Mismatch {
        /// The name of the instance that was meant.
        instance: String,
        /// The context with its kubeconfig, or the URL of the API server.
        place: String,
        /// The link of the chain: `context`, `server`, `certificate authority`, `UID of kube-system`.
        what: &'static str,
        /// The present value, or `missing`.
        found: String,
        /// The value when the instance came up.
        recorded: String,
    },
    /// The kubeconfig cannot be used.
    #[error(transparent)]
    Kubeconfig(#[from] KubeconfigError),
    /// The isolated kubeconfig does not exist.
    #[error("{path} does not exist")]
    NoFile {
        /// The path of the kubeconfig.
        path: Utf8PathBuf,
    },
    /// The registry cannot be read.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The API server did not answer in time, or answered with an error.
    #[error("read the UID of kube-system from {server}")]
    Unanswered {
        /// The recorded URL of the API server.
        server: String,
        /// The error of the request.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Hint for IdentityError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Mismatch { instance, .. } => Some(format!(
                "`homelab k8s kubeconfig {instance} --renew` writes its kubeconfigs again, from its nodes; \
                 if it has no nodes any more, remove the kubeconfig in its folder"
            )),
            Self::Kubeconfig(error) => error.hint(),
            Self::Registry(error) => error.hint(),
            Self::NoFile { .. } | Self::Unanswered { .. } => None,
        }
    }
}

/// One link of the chain: the recorded value and the present one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityLink {
    /// The name of the link, one of [`CHAIN`].
    pub what: &'static str,
    /// The value when the instance came up.
    pub recorded: String,
    /// The present value, or `missing`.
    pub found: String,
}

/// The names of the links, in the order of the chain.
pub const CHAIN: [&str; 4] = ["context", "server", "certificate authority", "UID of kube-system"];

/// Reads the links of an instance's isolated kubeconfig. Empty for an instance that never came up: it has no recorded
/// identity.
///
/// # Errors
/// [`IdentityError::NoFile`] when the file does not exist; [`IdentityError::Kubeconfig`] when it cannot be read or
/// parsed.
pub fn links_in(instance: &Instance, path: &Utf8Path) -> Result<Vec<IdentityLink>, IdentityError> {
    if !path.exists() {
        return Err(IdentityError::NoFile { path: path.to_owned() });
    }
    let current = kubeconfig::current_in(path)?;
    let endpoint = kubeconfig::endpoint_in(path, &instance.k8s.kubeconfig_context)?;
    Ok(links(instance, endpoint, current))
}

/// Reads the UID of the cluster that an API client is connected to. If another authority issued the server's
/// certificate, returns the link `certificate authority` instead. `None` for an instance without a recorded identity.
///
/// # Errors
/// [`IdentityError::Unanswered`] when the API server does not answer, or answers with an error. A missing namespace and
/// a certificate by another authority are no errors: the link shows them.
pub async fn link_of(instance: &Instance, client: Client) -> Result<Option<IdentityLink>, IdentityError> {
    let Some(recorded) = &instance.k8s.identity else { return Ok(None) };
    let unanswered = |source: kube::Error| IdentityError::Unanswered {
        server: recorded.server.clone(),
        source: source.into(),
    };
    let namespaces: Api<Namespace> = Api::all(client);
    let link = |place: usize, recorded: &str, found: &str| {
        Ok(Some(IdentityLink { what: CHAIN[place], recorded: recorded.to_owned(), found: found.to_owned() }))
    };
    match namespaces.get(NAMESPACE).await {
        Ok(namespace) => link(3, &recorded.uid, &namespace.metadata.uid.unwrap_or_default()),
        Err(kube::Error::Api(status)) if status.is_not_found() => link(3, &recorded.uid, "missing"),
        Err(error) => match not_vouched_for(&error) {
            Some(instead) => link(2, &recorded.authority, instead),
            None => Err(unanswered(error)),
        },
    }
}

/// What the server presents instead of a certificate by the recorded authority; `None` for all other errors. An expired
/// certificate by that authority is no mismatch: a cluster that was off for a year is still the same one.
fn not_vouched_for(error: &(dyn std::error::Error + 'static)) -> Option<&'static str> {
    use rustls::CertificateError::{Expired, ExpiredContext, NotValidYet, NotValidYetContext};
    let mut next = Some(error);
    while let Some(error) = next {
        match error.downcast_ref::<rustls::Error>() {
            Some(rustls::Error::InvalidCertificate(
                Expired | ExpiredContext { .. } | NotValidYet | NotValidYetContext { .. },
            )) => return None,
            Some(rustls::Error::InvalidCertificate(_)) => return Some("another one"),
            Some(rustls::Error::InvalidMessage(_)) => return Some("none (the server does not use TLS)"),
            Some(_) => return None,
            None => {}
        }
        // `source` of an I/O error skips the wrapped error and returns the source of that one.
        let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        next = match wrapped {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        };
    }
    None
}

/// Checks that context, server and authority in an instance's isolated kubeconfig are the recorded ones.
///
/// # Errors
/// [`IdentityError::Mismatch`] with both values; any other error when the file cannot be read.
pub fn check_isolated(instance: &Instance, path: &Utf8Path) -> Result<(), IdentityError> {
    all_as_recorded(instance, &in_file(instance, path), links_in(instance, path)?)
}

/// Checks the instance's context in the user's kubeconfig in the same way.
///
/// # Errors
/// As [`check_isolated`], and [`KubeconfigError::NoContext`] when the user's kubeconfig has no such context.
pub fn check_merged(home: &Home, instance: &Instance) -> Result<(), IdentityError> {
    let context = &instance.k8s.kubeconfig_context;
    let path = home.merged_kubeconfig();
    let Some(endpoint) = kubeconfig::endpoint(home, context)? else {
        return Err(KubeconfigError::NoContext { path: path.to_owned(), name: context.clone() }.into());
    };
    all_as_recorded(instance, &in_file(instance, path), links(instance, Some(endpoint), None))
}

/// Checks that the cluster an API client is connected to is the recorded one.
///
/// # Errors
/// [`IdentityError::Mismatch`] with both values, or [`IdentityError::Unanswered`].
pub async fn check_cluster(instance: &Instance, client: Client) -> Result<(), IdentityError> {
    let place = instance.k8s.identity.as_ref().map(|recorded| recorded.server.clone()).unwrap_or_default();
    all_as_recorded(instance, &place, link_of(instance, client).await?)
}

fn links(instance: &Instance, endpoint: Option<Endpoint>, current: Option<String>) -> Vec<IdentityLink> {
    let Some(recorded) = &instance.k8s.identity else { return Vec::new() };
    let missing = || "missing".to_owned();
    let link = |what, recorded: &str, found| IdentityLink { what, recorded: recorded.to_owned(), found };
    let context = &instance.k8s.kubeconfig_context;
    let Some(endpoint) = endpoint else {
        return vec![link(CHAIN[0], context, current.unwrap_or_else(missing))];
    };
    vec![
        link(CHAIN[0], context, current.unwrap_or_else(|| context.clone())),
        link(CHAIN[1], &recorded.server, endpoint.server),
        link(CHAIN[2], &recorded.authority, endpoint.authority.unwrap_or_else(missing)),
    ]
}

fn in_file(instance: &Instance, path: &Utf8Path) -> String {
    format!("context '{}' in {path}", instance.k8s.kubeconfig_context)
}

fn all_as_recorded(
    instance: &Instance,
    place: &str,
    links: impl IntoIterator<Item = IdentityLink>,
) -> Result<(), IdentityError> {
    match links.into_iter().find(|link| link.found != link.recorded) {
        None => Ok(()),
        Some(IdentityLink { what, recorded, found }) => {
            let (instance, place) = (instance.name.clone(), place.to_owned());
            Err(IdentityError::Mismatch { instance, place, what, found, recorded })
        }
    }
}
