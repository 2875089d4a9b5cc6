//! Who a cluster is: recorded when it comes up, and checked before anything is done to it.
//!
//! Files get copied, contexts renamed, addresses reused: a name alone proves nothing. So each link of the chain
//! *context → server → certificate authority → UID of `kube-system`* is compared with what was recorded, and the
//! first that differs stops whatever was about to be done. The UID is what Kubernetes never gives twice.

use camino::{Utf8Path, Utf8PathBuf};
use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Client};

use crate::error::Hint;
use crate::home::Home;
use crate::kubeconfig::{self, Endpoint, KubeconfigError};
use crate::registry::{Instance, RegistryError};

/// The namespace whose UID stands for the whole cluster, by convention (OpenTelemetry, `k8s.cluster.uid`).
pub const NAMESPACE: &str = "kube-system";

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
    /// The API server does not tell: nobody answers in time, or it is too ill to tell.
    #[error("ask {server} who it is")]
    Unanswered {
        /// Which.
        server: String,
        /// What it says.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Hint for IdentityError {
    fn hint(&self) -> Option<String> {
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

/// One link of the chain: what was recorded when the instance came up, and what was found now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Which, one of [`CHAIN`].
    pub what: &'static str,
    /// What it was when the instance came up.
    pub recorded: String,
    /// What it is.
    pub found: String,
}

/// The links of the chain, in its order.
pub const CHAIN: [&str; 4] = ["context", "server", "certificate authority", "UID of kube-system"];

/// The links of an instance's isolated kubeconfig. An instance that never came up has nothing recorded, and none.
///
/// # Errors
/// The file cannot be read.
pub fn links_in(instance: &Instance, path: &Utf8Path) -> Result<Vec<Link>, IdentityError> {
    if !path.exists() {
        return Err(IdentityError::NoFile { path: path.to_owned() });
    }
    let current = kubeconfig::current_in(path)?;
    let endpoint = kubeconfig::endpoint_in(path, &instance.k8s.kubeconfig_context)?;
    Ok(links(instance, endpoint, current))
}

/// The last link, from the cluster that answers a client, or the one before where its server is not vouched for by the
/// authority that was recorded.
///
/// # Errors
/// [`IdentityError::Unanswered`].
pub async fn link_of(instance: &Instance, client: Client) -> Result<Option<Link>, IdentityError> {
    let Some(recorded) = &instance.k8s.identity else { return Ok(None) };
    let unanswered = |source: kube::Error| IdentityError::Unanswered {
        server: recorded.server.clone(),
        source: source.into(),
    };
    let namespaces: Api<Namespace> = Api::all(client);
    let link = |place: usize, recorded: &str, found: &str| {
        Ok(Some(Link { what: CHAIN[place], recorded: recorded.to_owned(), found: found.to_owned() }))
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

/// What a server shows instead of a certificate by the authority that was recorded. That one of that authority has ended is
/// no such thing: a cluster that was off for a year is still the same one.
fn not_vouched_for(error: &(dyn std::error::Error + 'static)) -> Option<&'static str> {
    use rustls::CertificateError::{Expired, ExpiredContext, NotValidYet, NotValidYetContext};
    let mut next = Some(error);
    while let Some(error) = next {
        match error.downcast_ref::<rustls::Error>() {
            Some(rustls::Error::InvalidCertificate(
                Expired | ExpiredContext { .. } | NotValidYet | NotValidYetContext { .. },
            )) => return None,
            Some(rustls::Error::InvalidCertificate(_)) => return Some("another"),
            Some(rustls::Error::InvalidMessage(_)) => return Some("none, for it speaks no TLS"),
            Some(_) => return None,
            None => {}
        }
        // An I/O error names as its source that of what it wraps, and leaves out the wrapped error.
        let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        next = match wrapped {
            Some(wrapped) => Some(wrapped),
            None => error.source(),
        };
    }
    None
}

/// Checks that an instance's isolated kubeconfig leads where it led when the instance came up.
///
/// # Errors
/// [`IdentityError::Mismatch`] with both values, or the file cannot be read.
pub fn check_isolated(instance: &Instance, path: &Utf8Path) -> Result<(), IdentityError> {
    all_as_recorded(instance, &in_file(instance, path), links_in(instance, path)?)
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
    all_as_recorded(instance, &in_file(instance, path), links(instance, Some(endpoint), None))
}

/// Checks that the cluster which answers a client is the one that came up under the instance's name.
///
/// # Errors
/// [`IdentityError::Mismatch`] with both values, or [`IdentityError::Unanswered`].
pub async fn check_cluster(instance: &Instance, client: Client) -> Result<(), IdentityError> {
    let place = instance.k8s.identity.as_ref().map(|recorded| recorded.server.clone()).unwrap_or_default();
    all_as_recorded(instance, &place, link_of(instance, client).await?)
}

fn links(instance: &Instance, endpoint: Option<Endpoint>, current: Option<String>) -> Vec<Link> {
    let Some(recorded) = &instance.k8s.identity else { return Vec::new() };
    let missing = || "missing".to_owned();
    let link = |what, recorded: &str, found| Link { what, recorded: recorded.to_owned(), found };
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
    links: impl IntoIterator<Item = Link>,
) -> Result<(), IdentityError> {
    match links.into_iter().find(|link| link.found != link.recorded) {
        None => Ok(()),
        Some(Link { what, recorded, found }) => {
            let (instance, place) = (instance.name.clone(), place.to_owned());
            Err(IdentityError::Mismatch { instance, place, what, found, recorded })
        }
    }
}
