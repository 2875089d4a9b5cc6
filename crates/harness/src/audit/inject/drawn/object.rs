//! Credentials of the target in objects of the source's API.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use provisioner::exec::Command;
use serde_json::json;

use super::leak::ObjectKind;
use super::spot::{Inside, node};
use crate::audit::inject::changes::{Changes, command};
use crate::audit::inject::{InjectError, Pair};

/// The namespace of the object.
const NAMESPACE: &str = "default";
/// The key in the object.
const KEY: &str = "config";

/// `kubectl` of a control plane's administrator.
fn kubectl(words: &[&str]) -> Command {
    command(
        "kubectl",
        &[&["--kubeconfig", "/etc/kubernetes/admin.conf", "--namespace", NAMESPACE], words].concat(),
    )
}

/// Makes an administrator's kubeconfig in the target, and puts it into an object of the source. The kubeconfig is a new
/// one, because etcd keeps an object in its log after it was deleted.
pub(super) async fn put(
    pair: &Pair<'_>,
    changes: &mut Changes,
    (kind, encoded, name): (ObjectKind, bool, &str),
) -> Result<(), InjectError> {
    const MAKE: &str = "umask 077; kubeadm kubeconfig user --config /etc/kubernetes/kubeadm.yaml --client-name \"$0\" \
                        --org system:masters > \"$1\"";
    let (ours, theirs) = (node(pair.from, 0)?, node(pair.to, 0)?);
    let file = format!("/etc/kubernetes/{name}.conf");
    let make = command("sh", &["-c", MAKE, name, &file]);
    changes.on_node(theirs, &make, command("rm", &["-f", &file])).await?;
    let config = theirs.read(&file).await?;
    let config = if encoded { STANDARD.encode(config) } else { config };
    let meta = json!({ "name": name });
    let object = match kind {
        ObjectKind::Secret => {
            json!({ "apiVersion": "v1", "kind": "Secret", "metadata": meta, "stringData": { KEY: config } })
        }
        ObjectKind::ConfigMap => {
            json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": { KEY: config } })
        }
    };
    let gone = kubectl(&["delete", resource(kind), name, "--ignore-not-found"]);
    changes.on_node(ours, &kubectl(&["create", "--filename", "-"]).input(object.to_string()), gone).await
}

fn resource(kind: ObjectKind) -> &'static str {
    match kind {
        ObjectKind::Secret => "secret",
        ObjectKind::ConfigMap => "configmap",
    }
}

/// Whether the source's API has the object, and the target's API accepts the kubeconfig in it.
pub(super) async fn works(
    pair: &Pair<'_>,
    (kind, encoded, name): (ObjectKind, bool, &str),
) -> Result<Option<String>, InjectError> {
    const USE: &str = "umask 077; file=$(mktemp); cat > \"$file\"; \
                       kubectl --kubeconfig \"$file\" auth whoami --output 'jsonpath={.status.userInfo.username}' \
                       2>/dev/null; rm -f \"$file\"; true";
    let (ours, theirs) = (Inside::node(pair.from, 0)?, node(pair.to, 0)?);
    let path = format!("jsonpath={{.data.{KEY}}}");
    let get = kubectl(&["get", resource(kind), name, "--ignore-not-found", "--output", &path]);
    let mut config = ours.node.run(&get).await?.text().trim().to_owned();
    for _ in 0..usize::from(kind == ObjectKind::Secret) + usize::from(encoded) {
        let decoded = STANDARD.decode(config.trim()).unwrap_or_default();
        config = String::from_utf8_lossy(&decoded).into_owned();
    }
    if config.is_empty() {
        return Ok(None);
    }
    let user = theirs.run(&command("sh", &["-c", USE]).input(config)).await?.text().trim().to_owned();
    Ok((user == name).then(|| {
        format!(
            "{} has the object, and with its content the API server of {} says that we are {user}",
            pair.from.name(),
            pair.to.name()
        )
    }))
}
