//! Is this the cluster that is meant? Asked before anything destructive, and before a command is handed to it.

use std::time::Duration;

use crate::error::{Hint, chain};
use crate::events::Event;
use crate::identity::{self, IdentityError};
use crate::kubeadm;
use crate::kubeconfig::{self, Endpoint};
use crate::node::Node;
use crate::plan::{ClusterPlan, Platform};
use crate::registry::{Identity, Instance, RegistryError};

use super::{AttachError, Host, Provisioner, StageError};

/// How long an API server may take to say who it is, before it is stretched. A dead one must not hold up its own
/// destruction.
const PATIENCE: Duration = Duration::from_secs(2);

impl Provisioner {
    /// Checks the whole chain from an instance's isolated kubeconfig to the cluster that answers.
    ///
    /// # Errors
    /// [`IdentityError::Mismatch`] when it is another cluster; any other error when that cannot be found out.
    pub async fn identify(&self, name: &str) -> Result<(), IdentityError> {
        let unknown = || RegistryError::Unknown { name: name.to_owned() };
        let instance = self.registry.find(name)?.ok_or_else(unknown)?;
        self.identify_instance(&instance).await
    }

    pub(super) async fn identify_instance(&self, instance: &Instance) -> Result<(), IdentityError> {
        let path = self.home.isolated_kubeconfig(&instance.name);
        identity::check_isolated(instance, &path)?;
        match (&self.host, &instance.k8s.identity) {
            (Host::Real, Some(recorded)) => {
                let context = &instance.k8s.kubeconfig_context;
                let platform = Platform::of(instance.engine, instance.emulated);
                let within = platform.slowdown.stretch(PATIENCE);
                let client = kubeconfig::impatient_client(&path, context, within).await;
                let unusable = |source| IdentityError::Unanswered { server: recorded.server.clone(), source };
                identity::check_cluster(instance, client.map_err(unusable)?).await
            }
            _ => Ok(()), // nothing recorded, or nobody who could answer
        }
    }

    /// The same before something is done to what carries the instance's name and labels on this host. Only certainty
    /// stops that: what is dead, halted or broken cannot say who it is, and must be removable. That it was not asked is
    /// told by an event. Nothing was recorded of an instance that never came up.
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

    /// What tells a cluster that has just come up from all others.
    pub(super) async fn identity_of(&self, first: &Node, plan: &ClusterPlan) -> Result<Identity, StageError> {
        let uid = kubeadm::uid(first).await?;
        let path = self.home.isolated_kubeconfig(&plan.id.name);
        let endpoint = kubeconfig::endpoint_in(&path, &plan.kubeconfig_context)?;
        let Endpoint { server, authority } = endpoint.unwrap_or_default();
        Ok(Identity { server, authority: authority.unwrap_or_default(), uid })
    }

    /// Writes an instance's kubeconfigs anew from what its first node has, and checks the cluster behind them.
    ///
    /// # Errors
    /// [`RenewError`]; also when the nodes themselves are not those of the instance.
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

/// Why a kubeconfig cannot be written anew.
#[derive(Debug, thiserror::Error)]
pub enum RenewError {
    /// The cluster is not there.
    #[error(transparent)]
    Attach(#[from] AttachError),
    /// Its first node does not tell.
    #[error(transparent)]
    Kubeadm(#[from] kubeadm::KubeadmError),
    /// A kubeconfig cannot be written.
    #[error(transparent)]
    Kubeconfig(#[from] kubeconfig::KubeconfigError),
    /// The cluster is another one.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// A certificate cannot be issued anew.
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
