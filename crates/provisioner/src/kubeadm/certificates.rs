//! The certificates of kubeadm and the kubelet on the nodes: reads them, and renews them.
//!
//! kubeadm's certificates expire after a year. `kubeadm certs renew` renews all of a control plane's from the
//! authorities on its disk and needs no API server, so it also helps a cluster whose certificates have expired. A
//! kubelet renews its own certificate, but only while it runs and before the certificate expires: after a year's halt
//! this module gives it a new one. Next in the flow: `init::serves` waits for the API server that starts with the new
//! certificates.

use std::time::Duration;

use serde_json::json;

use crate::exec::Command;
use crate::kubernetes::{FOLDER, KUBELET, RENEWAL};
use crate::node::{File, Node};
use crate::pki::Secret;
use crate::plan::{ClusterPlan, NodePlan, Role};
use crate::tls::Certificate;

use super::init::{failed, run};
use super::{KubeadmError, config};

/// The kubelet's client certificate and its key. The kubelet requires that this is a symbolic link, and points it to
/// another file when it renews the certificate.
const KUBELET_CURRENT: &str = "/var/lib/kubelet/pki/kubelet-client-current.pem";
/// The file with the client certificate and key that `renew` gives to the kubelet.
const KUBELET_RENEWED: &str = "/var/lib/kubelet/pki/kubelet-client-renewed.pem";

/// Prints each certificate below the working directory after a line `# <file>`, and the kubelet's after `# kubelet`.
/// Prints no keys, and no authorities: the host has those.
const LOOK: &str = r##"for file in pki/*.crt pki/etcd/*.crt; do
  case $file in *ca.crt) continue ;; esac
  [ -f "$file" ] && echo "# $file" && cat "$file"
done
for file in *.conf; do
  data=$(sed -n 's/^ *client-certificate-data: //p' "$file" 2>/dev/null)
  [ -n "$data" ] && echo "# $file" && echo "$data" | base64 -d
done
file=/var/lib/kubelet/pki/kubelet-client-current.pem
[ -f $file ] && echo "# kubelet" && sed -n '/BEGIN CERTIFICATE/,/END CERTIFICATE/p' $file
true"##;

/// Points the kubelet's link to its new client certificate, and deletes its serving certificate: when the kubelet
/// starts it makes a new, self-signed one.
const ADOPT: &str = "ln -sfn kubelet-client-renewed.pem /var/lib/kubelet/pki/kubelet-client-current.pem && \
                     rm -f /var/lib/kubelet/pki/kubelet.crt /var/lib/kubelet/pki/kubelet.key";

/// Kills the components of the control plane and waits until they have ended: they read their certificates only when
/// they start, and the kubelet starts them again. Finds them by their containers, because a process of some other pod
/// may have the same name.
const END_PARTS: &str = r#"ctr="ctr --namespace k8s.io"
for part in kube-apiserver kube-controller-manager kube-scheduler etcd; do
  of="labels.\"io.kubernetes.pod.namespace\"==kube-system,labels.\"io.kubernetes.container.name\"==$part"
  for id in $($ctr containers list --quiet "$of"); do
    while $ctr tasks list | grep -q "^$id .*RUNNING"; do
      $ctr tasks kill --signal SIGKILL "$id" >/dev/null 2>&1
      sleep 0.1
    done
  done
done"#;

/// A certificate on a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeCertificate {
    /// The name of the node: `acme-cp-1`.
    pub node: String,
    /// The file below `/etc/kubernetes` (`pki/apiserver.crt`), or `kubelet` for the kubelet's client certificate.
    pub what: String,
    /// The certificate, or why it cannot be read.
    pub certificate: Result<Certificate, String>,
}

/// Reads all certificates on a node except the authorities.
///
/// # Errors
/// [`KubeadmError::Step`] when the command on the node fails.
pub async fn certificates(node: &Node) -> Result<Vec<NodeCertificate>, KubeadmError> {
    let look =
        Command::within(Duration::from_secs(30), "sh").args(["-c", &format!("cd {FOLDER} || exit\n{LOOK}")]);
    let seen = node.run(&look).await.map_err(failed("read the certificates", node))?;
    Ok(parse(node.name(), &seen.text()))
}

/// Renews all certificates on a node, and restarts the components that read them only at their start. `authority` is
/// the certificate of the cluster's authority as PEM, `kubelet` the kubelet's new client certificate with its key as
/// PEM.
///
/// May be repeated. Needs no API server; a running API server does not answer for some seconds.
///
/// # Errors
/// [`KubeadmError::Step`] with the step that failed. Steps before it stay done; repeat the call to finish.
pub async fn renew(
    node: &Node,
    plan: &ClusterPlan,
    authority: &str,
    kubelet: &Secret,
) -> Result<(), KubeadmError> {
    let shell = |script| Command::within(Duration::from_secs(60), "sh").args(["-c", script]);
    let is_plane = node.plan().role == Role::ControlPlane;
    let mut files = vec![
        File::private(KUBELET_RENEWED, kubelet.reveal()),
        File::private(KUBELET, kubelet_conf(plan, node.plan(), authority)),
    ];
    if is_plane {
        files.push(File::private(RENEWAL, renewal(plan, node.plan())));
    }
    node.put(&files).await.map_err(failed("write the kubelet's certificate", node))?;
    if is_plane {
        let renew = Command::within(Duration::from_secs(60), "kubeadm");
        run("renew kubeadm's certificates", node, renew.args(["certs", "renew", "all", "--config", RENEWAL]))
            .await?;
    }
    run("adopt the kubelet's certificate", node, shell(ADOPT)).await?;
    run("restart the kubelet", node, plan.platform.restart("kubelet")).await?;
    if is_plane {
        run("stop the control plane's containers", node, shell(END_PARTS)).await?;
    }
    Ok(())
}

/// The configuration for `kubeadm certs renew` on a control plane. Without it, kubeadm asks the API server, whose own
/// certificate may have expired. Pure.
fn renewal(plan: &ClusterPlan, node: &NodePlan) -> String {
    let init = json!({
        "apiVersion": "kubeadm.k8s.io/v1beta4",
        "kind": "InitConfiguration",
        "localAPIEndpoint": config::endpoint(node),
        "nodeRegistration": { "name": node.name, "criSocket": config::CRI_SOCKET },
    });
    config::documents(&[init, config::cluster_configuration(plan)])
}

/// The kubeconfig of a node's kubelet, as kubeadm writes it. Pure.
fn kubelet_conf(plan: &ClusterPlan, node: &NodePlan, authority: &str) -> String {
    let user = format!("system:node:{}", node.name);
    let context = format!("{user}@{}", plan.id.name);
    config::documents(&[json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{ "name": plan.id.name, "cluster": config::api_server(plan, authority) }],
        "contexts": [{ "name": context, "context": { "cluster": plan.id.name, "user": user } }],
        "current-context": context,
        "users": [{
            "name": user,
            "user": { "client-certificate": KUBELET_CURRENT, "client-key": KUBELET_CURRENT },
        }],
    })])
}

/// Parses what [`LOOK`] printed. Pure.
fn parse(node: &str, text: &str) -> Vec<NodeCertificate> {
    let parts = text.split("# ").skip(1).filter_map(|part| part.split_once('\n'));
    parts
        .map(|(what, pem)| NodeCertificate {
            node: node.to_owned(),
            what: what.to_owned(),
            certificate: Certificate::read(pem),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::Authority;
    use crate::plan::tests::acme_ha;

    #[test]
    fn kubeadm_and_the_kubelet_get_the_configuration_of_their_own_node() {
        let plan = acme_ha();
        let (second, worker) = (&plan.nodes[1], &plan.nodes[3]);
        insta::assert_snapshot!(format!(
            "{}---\n{}",
            renewal(&plan, second),
            kubelet_conf(&plan, worker, "PEM")
        ));
    }

    #[test]
    fn each_certificate_of_a_node_is_read_behind_its_file_name() {
        let pem = Authority::make("acme kubernetes").unwrap().certificate;
        let found = parse("acme-cp-1", &format!("# pki/apiserver.crt\n{pem}# admin.conf\nno PEM\n"));
        let told = found.iter().map(|one| {
            let subject = one.certificate.as_ref().map(|about| about.subject.as_str());
            (one.node.as_str(), one.what.as_str(), subject)
        });
        let no_pem = "it is not PEM".to_owned();
        assert_eq!(
            told.collect::<Vec<_>>(),
            [
                ("acme-cp-1", "pki/apiserver.crt", Ok("acme kubernetes")),
                ("acme-cp-1", "admin.conf", Err(&no_pem)),
            ]
        );
        assert_eq!(parse("acme-w-1", ""), []);
    }
}
