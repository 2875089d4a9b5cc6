//! Reports when an instance's certificates expire, and renews the certificates of its nodes.
//!
//! kubeadm's certificates are valid for a year. A cluster that is paused or halted for longer cannot continue: clients
//! reject the certificate of its API server, and its kubelets have no valid client certificates. So `resume` and
//! `start` check the certificates, and renew those that expire within a month.

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
use crate::tls::{Certificate, CertificateState, Folder};

use super::{Cluster, Provisioner, RenewError, StageError};

/// A certificate of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dated {
    /// Its kind, which says how it is renewed.
    pub kind: DatedKind,
    /// The node that has it; `None` where it is on the host.
    pub node: Option<String>,
    /// On a node: its file below `/etc/kubernetes`, or `kubelet`. On the host: `kubeconfig`, a file such as
    /// `pki/ca.crt`, the subject of the instance's own authority, or the names in a leaf.
    pub what: String,
    /// The parsed certificate, or the reason why it cannot be parsed.
    pub certificate: Result<Certificate, String>,
}

/// The kinds of certificates, by how they are renewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DatedKind {
    /// Issued for kubeadm or the kubelet: `renew_certificates` renews it.
    Cluster,
    /// One of the cluster's authorities: nothing renews it.
    ClusterAuthority,
    /// The instance's own authority: `rotate` replaces it.
    Authority,
    /// Issued by the instance's own authority: `tls_issue` renews it.
    Leaf,
}

impl Dated {
    /// Whether it has expired, or will expire within a month. `false` for a certificate that cannot be parsed.
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.certificate.as_ref().is_ok_and(|about| is_due(about, now))
    }
}

fn is_due(certificate: &Certificate, now: Timestamp) -> bool {
    certificate.standing(now) != CertificateState::Valid
}

impl Provisioner {
    /// The certificates of an instance on this host: the kubeconfig's client certificate, the authorities, and the
    /// leaves of the instance's own authority. Missing files are left out.
    pub fn dated_on_host(&self, instance: &Instance) -> Vec<Dated> {
        let mut all = Vec::new();
        let mut add = |kind, what: &str, certificate| {
            all.push(Dated { kind, node: None, what: what.to_owned(), certificate });
        };
        let isolated = self.home.isolated_kubeconfig(&instance.name);
        // A changed or unreadable kubeconfig is reported when it is used, not here.
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
            // `certificates` reports leaves that cannot be read.
            if let Ok((about, _)) = leaf.certificate {
                add(DatedKind::Leaf, &about.names.join(" "), Ok(about.clone()));
            }
        }
        all
    }

    /// The certificates on the nodes of a running cluster.
    ///
    /// # Errors
    /// [`KubeadmError`] when a node cannot list its certificates.
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

    /// Renews all certificates of an instance's nodes, also expired ones, and rewrites its kubeconfigs. The API server
    /// is not available for some seconds. May be repeated.
    ///
    /// # Errors
    /// [`RenewError`]; some certificates may be renewed. A repetition renews all of them.
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

    /// Renews all certificates of these nodes if one of them has expired, or will expire within a month. Returns
    /// whether it renewed them.
    pub(super) async fn issue_due(&self, nodes: &Nodes, plan: &ClusterPlan) -> Result<bool, StageError> {
        let now = Timestamp::now();
        let is_due = self.dated_on_nodes(nodes).await?.iter().any(|one| one.is_due(now));
        if is_due {
            self.issue_anew(nodes, plan).await?;
        }
        Ok(is_due)
    }

    /// Renews all certificates of these nodes, on all nodes at once: an etcd member cannot come up while the
    /// certificates of the other members are expired.
    async fn issue_anew(&self, nodes: &Nodes, plan: &ClusterPlan) -> Result<(), StageError> {
        let authority = &Bundle::kept(&self.home, &plan.id.name)?.cluster;
        try_join_all(nodes.iter().map(async |node| {
            let kubelet = authority.kubelet(node.name())?;
            Ok::<_, StageError>(kubeadm::renew(node, plan, &authority.certificate, &kubelet).await?)
        }))
        .await
        .map(drop)
    }

    /// Writes the isolated kubeconfig from the first node's `admin.conf`, and merges an operator's context into the
    /// user's kubeconfig. If only the merge fails, the call succeeds and returns the reason.
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
