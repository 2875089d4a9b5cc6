//! The names of an instance that must resolve, and the records that are found on the host. Pure.

use std::net::Ipv4Addr;

use crate::plan::{ClusterPlan, InstanceId};
use crate::request::Label;

/// The first label of the API server's name.
const API: &str = "api";

/// The names of one instance. Nodes have no names: all names of the suffix except the API server's have the workload
/// address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Records {
    /// The instance.
    pub id: InstanceId,
    /// `<tldPrefix>.lab`.
    pub suffix: String,
    /// The address of `api.<suffix>`.
    pub api_address: Ipv4Addr,
    /// The address of the suffix and of all other names below it.
    pub workload_address: Ipv4Addr,
}

/// The records of an instance that are found on the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recorded {
    /// A complete block or drop-in.
    Sound {
        /// The recorded names, which may be outdated.
        records: Records,
        /// The file with its line (`/etc/hosts:6`), or the drop-in.
        place: String,
    },
    /// A block or drop-in that was changed or is incomplete.
    Damaged {
        /// The instance's name.
        instance: String,
        /// The file with its line, or the drop-in.
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
    /// The names in an instance's plan.
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

    /// Each name with its address, for a place without wildcards: the API server's, the suffix itself, and these labels
    /// below it.
    pub(super) fn each(&self, labels: &[Label]) -> Vec<(String, Ipv4Addr)> {
        let further = labels.iter().filter(|label| label.as_str() != API);
        let further = further.map(|label| (format!("{label}.{}", self.suffix), self.workload_address));
        let own = [(self.api_name(), self.api_address), (self.suffix.clone(), self.workload_address)];
        own.into_iter().chain(further).collect()
    }

    /// The records with these names and addresses. `None` unless they include an API server's name and its suffix.
    pub(super) fn found(id: &InstanceId, names: &[(String, Ipv4Addr)]) -> Option<Self> {
        let below = |name: &str| name.strip_prefix(API)?.strip_prefix('.').map(str::to_owned);
        let (suffix, api_address) =
            names.iter().find_map(|(name, address)| Some((below(name)?, *address)))?;
        let (_, workload_address) = names.iter().find(|(name, _)| *name == suffix)?;
        Some(Self { id: id.clone(), api_address, workload_address: *workload_address, suffix })
    }
}
