//! Checks that the cluster that answers is the recorded one: before a destructive operation or a command.

use std::time::Duration;

use crate::error::{Hint, chain};
use crate::events::Event;
use crate::identity::{self, IdentityError};
use crate::kubeadm;
use crate::kubeconfig::{self, Endpoint};
use crate::node::Node;
use crate::plan::{ClusterPlan, Platform};
use crate::registry::{Identity, Instance, RegistryError};

use super::{AttachError, HostKind, Provisioner, StageError};

/// The time-out of the question to the API server, before it is stretched. It is short, since a dead API server must
/// not delay its destruction.
const TIMEOUT: Duration = Duration::from_secs(2);

impl Provisioner {
    /// Checks the chain from an instance's isolated kubeconfig to the cluster that answers: server, authority and UID.
    ///
    /// # Errors
    /// [`IdentityError::Mismatch`] when another cluster answers; any other error when the check cannot be made.
    pub async fn identify(&self, name: &str) -> Result<(), IdentityError> {
        let unknown = || RegistryError::Unknown { name: name.to_owned() };
        let instance = self.registry.find(name)?.ok_or_else(unknown)?;
        self.identify_instance(&instance).await
    }

    pub(super) async fn identify_instance(&self, instance: &Instance) -> Result<(), IdentityError> {
        let path = self.home.isolated_kubeconfig(&instance.name);
        identity::check_isolated(instance, &path)?;
        match (&self.host, &instance.k8s.identity) {
            (HostKind::Real, Some(recorded)) => {
                let context = &instance.k8s.kubeconfig_context;
                let platform = Platform::of(instance.engine, instance.emulated);
                let within = platform.slowdown.stretch(TIMEOUT);
                let client = kubeconfig::impatient_client(&path, context, within).await;
                let unusable = |source| IdentityError::Unanswered { server: recorded.server.clone(), source };
                identity::check_cluster(instance, client.map_err(unusable)?).await
            }
            _ => Ok(()), // no identity recorded, or a simulated host without an API server
        }
    }

    /// The same check before an operation on things with the instance's name and labels on this host. Only a certain
    /// mismatch is an error: a cluster that is dead, halted or broken cannot answer, and must be removable. If the
    /// check could not be made, an event says so, except for an instance that never came up: it has no recorded
    /// identity.
    pub(super) async fn identify_if_it_answers(&self, instance: &Instance) -> Result<(), IdentityError> {
        match self.identify_instance(instance).await {
            Err(mismatch @ IdentityError::Mismatch { .. }) => return Err(mismatch),
            Err(unknown) if instance.k8s.identity.is_some() => {
                let (instance, why) = (instance.name.clone(), chain(&unknown));
                self.events.publish(Event::IdentityUnchecked { instance, why });
            }
            Ok(()) | Err(_) => {}
        }
        Ok(())
    }

    /// The identity of a cluster that has just come up: server, authority and UID.
    pub(super) async fn identity_of(&self, first: &Node, plan: &ClusterPlan) -> Result<Identity, StageError> {
        let uid = kubeadm::uid(first).await?;
        let path = self.home.isolated_kubeconfig(&plan.id.name);
        let endpoint = kubeconfig::endpoint_in(&path, &plan.kubeconfig_context)?;
        let Endpoint { server, authority } = endpoint.unwrap_or_default();
        Ok(Identity { server, authority: authority.unwrap_or_default(), uid })
    }

    /// Rewrites an instance's kubeconfigs from the `admin.conf` of its first node, and checks the cluster's identity
    /// between the isolated and the merged one.
    ///
    /// # Errors
    /// [`RenewError`], also when the identity does not match; the merged kubeconfig is unchanged then.
    pub async fn renew_kubeconfig(&self, name: &str) -> Result<(), RenewError> {
        let cluster = self.attach(name).await?;
        let isolated =
            kubeconfig::isolated(&kubeadm::admin_conf(&cluster.nodes.first).await?, &cluster.plan)?;
        kubeconfig::write_isolated(&self.home, name, &isolated)?;
        self.identify_instance(&cluster.instance).await?;
        if cluster.plan.handling.kubeconfig {
            kubeconfig::merge(&self.home, &isolated)?;
        }
        Ok(())
    }
}

/// Why certificates or kubeconfigs were not renewed.
#[derive(Debug, thiserror::Error)]
pub enum RenewError {
    /// The registry has no such instance, or a node of the instance does not run.
    #[error(transparent)]
    Attach(#[from] AttachError),
    /// The first node's `admin.conf` cannot be read, or its API server does not answer.
    #[error(transparent)]
    Kubeadm(#[from] kubeadm::KubeadmError),
    /// A kubeconfig cannot be written.
    #[error(transparent)]
    Kubeconfig(#[from] kubeconfig::KubeconfigError),
    /// The cluster that answers is not the recorded one, or its identity cannot be checked.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// A certificate cannot be renewed, or the operation cannot be recorded.
    #[error(transparent)]
    Issue(#[from] StageError),
}

impl Hint for RenewError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Attach(error) => error.hint(),
            Self::Kubeadm(error) => error.hint(),
            Self::Kubeconfig(error) => error.hint(),
            Self::Identity(error) => error.hint(),
            Self::Issue(error) => error.hint(),
        }
    }
}
