//! Files of others that an instance needs: looked at before anything is claimed, since a cluster takes a minute and a
//! kubeconfig that cannot be written is found in a millisecond.

use std::sync::Arc;

use crate::events::Event;
use crate::kubeconfig::{self, KubeconfigError};
use crate::plan::{ClusterPlan, InstanceId};
use crate::spec::CheckedSpec;

use super::{Provisioner, StageError};

impl Provisioner {
    /// Refuses a creation whose context, names or trust anchor could not be recorded on this host, or not be removed
    /// again. Nothing is changed.
    pub(super) async fn demand_files(&self, spec: &CheckedSpec) -> Result<(), StageError> {
        let handling = spec.handling;
        if !handling.is_outside() {
            return Ok(());
        }
        let id = InstanceId { home: self.home.id(), name: spec.name.to_string() };
        let (home, dns, trust) = (self.home.clone(), self.dns().clone(), self.trust.clone());
        // A lock may be in the way for a while.
        let looked = tokio::task::spawn_blocking(move || {
            if handling.kubeconfig {
                kubeconfig::check(&home, &id.name)?;
            }
            if handling.host_names {
                dns.check(&id)?;
            }
            trust.trusted(&id)?;
            Ok(())
        });
        looked.await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
    }

    /// Puts an operator's context into the user's kubeconfig. What is in the way now was not there before the claim: it
    /// is told, and costs nobody a cluster that came up.
    pub(super) fn hand_over(&self, plan: &ClusterPlan, isolated: &str) -> Option<Arc<KubeconfigError>> {
        if !plan.handling.kubeconfig {
            return None;
        }
        let error = kubeconfig::merge(&self.home, isolated).err()?;
        let (instance, text) = (plan.id.name.clone(), crate::error::chain(&error));
        self.events.publish(Event::KubeconfigNotMerged { instance, error: text });
        Some(Arc::new(error))
    }
}
