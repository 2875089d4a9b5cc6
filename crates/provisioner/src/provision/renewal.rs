//! When an instance's certificates end, and how those of its nodes are issued anew.
//!
//! kubeadm's live for a year. A cluster that rests for longer cannot go on by itself: its API server is not believed any
//! more, and its kubelets have nothing to show. So they are looked at whenever an instance wakes, and issued anew a
//! month before they end.

use std::sync::Arc;

use futures::future::try_join_all;
use jiff::Timestamp;

use crate::events::Event;
use crate::kubeadm::{self, KubeadmError};
use crate::kubeconfig::{self, KubeconfigError};
use crate::node::{Node, Nodes};
use crate::pki::Bundle;
use crate::plan::ClusterPlan;
use crate::registry::{Instance, OperationKind};
use crate::tls::{Certificate, Folder, Standing};

use super::{Cluster, Provisioner, RenewError, StageError};

/// A certificate of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dated {
    /// What it is, and thereby what renews it.
    pub kind: DatedKind,
    /// The node that has it; none where it is on the host.
    pub node: Option<String>,
    /// Its file on the node, below `/etc/kubernetes`; on the host the file's name, or the names that it is for.
    pub what: String,
    /// What it says, or why it cannot be read.
    pub certificate: Result<Certificate, String>,
}

/// What a certificate is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DatedKind {
    /// kubeadm or the kubelet had it issued: `renew_certificates` issues it anew.
    Cluster,
    /// One of the cluster's authorities: nothing renews it.
    ClusterAuthority,
    /// The instance's own authority: `rotate` replaces it.
    Authority,
    /// The instance's own authority has issued it: `tls_issue` issues it anew.
    Leaf,
}

impl Dated {
    /// Whether it has ended, or will within a month. One that cannot be read is nothing that waits for an end.
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.certificate.as_ref().is_ok_and(|about| is_due(about, now))
    }
}

fn is_due(certificate: &Certificate, now: Timestamp) -> bool {
    certificate.standing(now) != Standing::Valid
}

impl Provisioner {
    /// The certificates of an instance that are on this host: its kubeconfig's, its authorities, and what they issued.
    /// What is not there is left out.
    pub fn dated_on_host(&self, instance: &Instance) -> Vec<Dated> {
        let mut all = Vec::new();
        let mut add = |kind, what: &str, certificate| {
            all.push(Dated { kind, node: None, what: what.to_owned(), certificate });
        };
        let isolated = self.home.isolated_kubeconfig(&instance.name);
        // A kubeconfig that somebody has changed is told by whoever uses it.
        let client = kubeconfig::client_certificate_in(&isolated).ok().flatten();
        if let Some(about) = client.and_then(|pem| Certificate::read(&pem).ok()) {
            add(DatedKind::Cluster, "kubeconfig", Ok(about));
        }
        if let Ok(bundle) = Bundle::kept(&self.home, &instance.name) {
            let authorities =
                [("ca", bundle.cluster), ("etcd/ca", bundle.etcd), ("front-proxy-ca", bundle.front_proxy)];
            for (name, authority) in authorities {
                let what = format!("pki/{name}.crt");
                add(DatedKind::ClusterAuthority, &what, Certificate::read(&authority.certificate));
            }
        }
        let folder = Folder::of(&self.home, instance);
        if let Ok(authority) = folder.authority() {
            add(DatedKind::Authority, &authority.about.subject, Ok(authority.about.clone()));
        }
        for leaf in folder.leaves(Timestamp::now()).unwrap_or_default() {
            // What cannot be read is told by `certificates`.
            if let Ok((about, _)) = leaf.certificate {
                add(DatedKind::Leaf, &about.names.join(" "), Ok(about.clone()));
            }
        }
        all
    }

    /// The certificates on the nodes of a cluster that runs.
    ///
    /// # Errors
    /// [`KubeadmError`] when a node does not tell.
    pub async fn dated_on_nodes(&self, nodes: &Nodes) -> Result<Vec<Dated>, KubeadmError> {
        let all = try_join_all(nodes.iter().map(kubeadm::certificates)).await?.into_iter().flatten();
        let dated = all.map(|one| Dated {
            kind: DatedKind::Cluster,
            node: Some(one.node),
            what: one.what,
            certificate: one.certificate,
        });
        Ok(dated.collect())
    }

    /// Issues all certificates of an instance's nodes anew, also those that have ended, and writes its kubeconfigs anew.
    /// Its API server is away for some seconds meanwhile. May be repeated.
    ///
    /// # Errors
    /// [`RenewError`]; repeated, it goes on from there.
    pub async fn renew_certificates(&self, name: &str) -> Result<Cluster, RenewError> {
        self.known(name)?;
        let (_, hold) = self
            .hold(name, OperationKind::RenewCertificates, |instance| Ok(instance.clone()))
            .map_err(StageError::from)?;
        let cluster = self.attach(name).await?;
        self.issue_anew(&cluster.nodes, &cluster.plan).await?;
        kubeadm::serves(&cluster.nodes.first, &cluster.plan).await?;
        self.renew_kubeconfig(name).await?;
        let instance = hold.end(|_| ()).map_err(StageError::from)?;
        self.events.publish(Event::CertificatesRenewed { instance: name.to_owned() });
        Ok(Cluster { instance, ..cluster })
    }

    /// Issues the certificates of these nodes anew if one of them has ended, or will within a month; says whether it
    /// did.
    pub(super) async fn issue_due(&self, nodes: &Nodes, plan: &ClusterPlan) -> Result<bool, StageError> {
        let now = Timestamp::now();
        let is_due = self.dated_on_nodes(nodes).await?.iter().any(|one| one.is_due(now));
        if is_due {
            self.issue_anew(nodes, plan).await?;
        }
        Ok(is_due)
    }

    /// Issues them all anew, side by side: members of etcd whose certificates have ended need each other's new ones.
    async fn issue_anew(&self, nodes: &Nodes, plan: &ClusterPlan) -> Result<(), StageError> {
        let authority = &Bundle::kept(&self.home, &plan.id.name)?.cluster;
        try_join_all(nodes.iter().map(async |node| {
            let kubelet = authority.kubelet(node.name())?;
            Ok::<_, StageError>(kubeadm::renew(node, plan, &authority.certificate, &kubelet).await?)
        }))
        .await
        .map(drop)
    }

    /// Writes the isolated kubeconfig from what the first node has, and an operator's context in the user's. Returns why
    /// the latter could not be done, which costs nobody a cluster.
    pub(super) async fn write_kubeconfigs(
        &self,
        first: &Node,
        plan: &ClusterPlan,
    ) -> Result<Option<Arc<KubeconfigError>>, StageError> {
        let isolated = kubeconfig::isolated(&kubeadm::admin_conf(first).await?, plan)?;
        kubeconfig::write_isolated(&self.home, &plan.id.name, &isolated)?;
        Ok(self.hand_over(plan, &isolated))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_due_a_month_before_it_ends() {
        let pem = crate::pki::Authority::make("acme kubernetes").unwrap().certificate;
        let about = Certificate::read(&pem).unwrap();
        let days = |before: i64| about.not_after - jiff::SignedDuration::from_hours(24 * before);
        let dated = |certificate| Dated {
            kind: DatedKind::Cluster,
            node: None,
            what: "kubeconfig".to_owned(),
            certificate,
        };
        let due = [31, 29, 0, -400].map(|before| dated(Ok(about.clone())).is_due(days(before)));
        assert_eq!(due, [false, true, true, true]);
        assert!(!dated(Err("it is not PEM".to_owned())).is_due(days(-400)));
    }
}
