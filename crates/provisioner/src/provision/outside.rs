//! Checks the files outside of the home that an operator's instance needs, before anything is claimed: a cluster takes
//! a minute to create, and the check of a kubeconfig takes a millisecond.

use std::sync::Arc;

use crate::events::Event;
use crate::kubeconfig::{self, KubeconfigError};
use crate::plan::{ClusterPlan, InstanceId};
use crate::request::CheckedSpec;

use super::{Provisioner, StageError};

impl Provisioner {
    /// Refuses a creation if its context, names or trust anchor could not be recorded on this host, or could not be
    /// removed again. Changes nothing.
    pub(super) async fn demand_files(&self, spec: &CheckedSpec) -> Result<(), StageError> {
        let handling = spec.handling;
        if !handling.is_outside() {
            return Ok(());
        }
        let id = InstanceId { home: self.home.id(), name: spec.name.to_string() };
        let (home, dns, trust) = (self.home.clone(), self.dns().clone(), self.trust.clone());
        // A check may wait for a lock.
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

    /// Merges an operator's context into the user's kubeconfig. The file was checked before the claim, so an obstacle
    /// is new: it becomes an event and the returned error, and the cluster that came up stays.
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
