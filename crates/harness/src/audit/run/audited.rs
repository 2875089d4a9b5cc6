//! [`Audited`]: the clusters of an audit, instances of this host and attached ones.

use super::{AuditError, ProbedCluster};
use crate::attached::AttachedCluster;
use crate::cluster::TestCluster;

/// The clusters of an audit. Each is audited against every other one.
#[derive(Debug, Clone, Copy, Default)]
pub struct Audited<'a> {
    /// Instances of this host.
    pub instances: &'a [TestCluster],
    /// Clusters of which only the kubeconfig is known.
    pub attached: &'a [AttachedCluster],
}

impl<'a> Audited<'a> {
    /// Instances of this host alone.
    pub fn of(instances: &'a [TestCluster]) -> Self {
        Self { instances, attached: &[] }
    }

    /// All clusters, instances first.
    pub(super) fn all(self) -> impl Iterator<Item = ProbedCluster<'a>> {
        let instances = self.instances.iter().map(ProbedCluster::from);
        instances.chain(self.attached.iter().map(ProbedCluster::from))
    }

    /// Refuses two names of one cluster.
    pub(super) fn demand_different_clusters(self) -> Result<(), AuditError> {
        let instances = self.instances.iter().map(|cluster| (cluster.name(), cluster.uid()));
        let attached = self.attached.iter().map(|cluster| (cluster.name(), cluster.uid()));
        match same(&instances.chain(attached).collect::<Vec<_>>()) {
            None => Ok(()),
            Some((one, other, uid)) => Err(AuditError::SameCluster { one, other, uid }),
        }
    }
}

/// The first two names with the same UID. An instance that was made before UIDs were recorded has an empty one. Pure.
fn same(all: &[(&str, &str)]) -> Option<(String, String, String)> {
    let pairs = all
        .iter()
        .enumerate()
        .flat_map(|(place, one)| all[place + 1..].iter().map(move |other| (one, other)));
    let mut pairs = pairs.filter(|((_, uid), (_, other))| !uid.is_empty() && uid == other);
    pairs.next().map(|((one, uid), (other, _))| ((*one).to_owned(), (*other).to_owned(), (*uid).to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_names_with_one_uid_are_one_cluster() {
        assert_eq!(same(&[("acme", "u1"), ("globex", "u2"), ("old", ""), ("older", "")]), None);
        let found = same(&[("acme", "u1"), ("globex", "u2"), ("prod", "u1")]);
        assert_eq!(found, Some(("acme".to_owned(), "prod".to_owned(), "u1".to_owned())));
    }
}
