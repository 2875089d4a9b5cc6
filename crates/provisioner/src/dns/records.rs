//! What shall resolve of an instance, and what is found recorded. Pure.

use std::net::Ipv4Addr;

use crate::plan::{ClusterPlan, InstanceId};
use crate::spec::Label;

/// The first label of the control plane's name.
const API: &str = "api";

/// The names of one instance. Nodes have none: every name of the suffix but the API's is the workload gateway's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Records {
    /// Whose they are.
    pub id: InstanceId,
    /// `<tldPrefix>.lab`.
    pub suffix: String,
    /// Where `api.<suffix>` leads.
    pub api_address: Ipv4Addr,
    /// Where the suffix and every other name below it lead.
    pub workload_address: Ipv4Addr,
}

/// What is recorded of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recorded {
    /// Its names.
    Sound {
        /// As they are recorded, which is not necessarily how they should be.
        records: Records,
        /// Where: a file with its line, or a drop-in.
        place: String,
    },
    /// Something that homelab did not leave like this.
    Damaged {
        /// The instance's name.
        instance: String,
        /// Where.
        place: String,
        /// What is wrong with it.
        why: &'static str,
    },
}

impl Recorded {
    /// The instance's name.
    pub fn instance(&self) -> &str {
        match self {
            Self::Sound { records, .. } => &records.id.name,
            Self::Damaged { instance, .. } => instance,
        }
    }
}

impl Records {
    /// The names that a plan gives an instance.
    pub fn of(plan: &ClusterPlan) -> Self {
        Self {
            id: plan.id.clone(),
            suffix: plan.dns_suffix(),
            api_address: plan.api_address,
            workload_address: plan.workload_address,
        }
    }

    /// `api.<suffix>`.
    pub fn api_name(&self) -> String {
        format!("{API}.{}", self.suffix)
    }

    /// Name by name, for providers without wildcards: the API's, the suffix itself, and these labels below it.
    pub(super) fn each(&self, labels: &[Label]) -> Vec<(String, Ipv4Addr)> {
        let further = labels.iter().filter(|label| label.as_str() != API);
        let further = further.map(|label| (format!("{label}.{}", self.suffix), self.workload_address));
        let own = [(self.api_name(), self.api_address), (self.suffix.clone(), self.workload_address)];
        own.into_iter().chain(further).collect()
    }

    /// The records behind names and their addresses, if there is an API's and a suffix.
    pub(super) fn found(id: &InstanceId, names: &[(String, Ipv4Addr)]) -> Option<Self> {
        let below = |name: &str| name.strip_prefix(API)?.strip_prefix('.').map(str::to_owned);
        let (suffix, api_address) =
            names.iter().find_map(|(name, address)| Some((below(name)?, *address)))?;
        let (_, workload_address) = names.iter().find(|(name, _)| *name == suffix)?;
        Some(Self { id: id.clone(), api_address, workload_address: *workload_address, suffix })
    }
}
