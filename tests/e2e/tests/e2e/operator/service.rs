//! An HTTPS service in a cluster, with a certificate of the client's own authority.

use std::time::Duration;

use anyhow::ensure;
use camino::Utf8Path;
use provisioner::exec::{Command, CommandError, Local, Runner};

use super::desk::Desk;

/// Where the service answers on acme's only node.
const ADDRESS: &str = "192.168.61.10:30443";

const SERVICE: &str = "
apiVersion: v1
kind: Pod
metadata: { name: app, labels: { app: app } }
spec:
  terminationGracePeriodSeconds: 0
  volumes: [{ name: tls, secret: { secretName: app } }]
  containers:
  - name: main
    image: homelab.invalid/toolbox:1
    command: [openssl, s_server, -quiet, -www, -accept, '8443', -cert, /tls/tls.crt, -key, /tls/tls.key]
    volumeMounts: [{ name: tls, mountPath: /tls }]
    readinessProbe: { tcpSocket: { port: 8443 }, periodSeconds: 1 }
---
apiVersion: v1
kind: Service
metadata: { name: app }
spec:
  type: NodePort
  selector: { app: app }
  ports: [{ port: 443, targetPort: 8443, nodePort: 30443 }]
";

/// Whoever trusts acme's authority verifies the service, whoever trusts globex's only does not; and neither does the
/// host before `tls trust`, nor after the instance is gone.
pub(super) async fn is_verified_by_its_own_clients_only(desk: &Desk) -> anyhow::Result<()> {
    desk.homelab(&["tls", "issue", "--instance", "acme", "app.acme.lab"]).await?;
    desk.refusal(2, &["tls", "issue", "--instance", "acme", "app.globex.lab"]).await?;
    let folder = desk.instance("acme").join("tls");
    let file = |option: &str, extension: &str| format!("--{option}={folder}/app.acme.lab.{extension}");
    let (certificate, key) = (file("cert", "crt"), file("key", "key"));
    let in_acme = ["kubectl", "acme", "--"];
    let create = [&in_acme[..], &["create", "secret", "tls", "app", &certificate, &key]].concat();
    desk.homelab(&create).await?;
    desk.homelab_with(&[&in_acme[..], &["apply", "--filename", "-"]].concat(), SERVICE).await?;
    let ready = ["wait", "--for", "condition=Ready", "pod/app", "--timeout", "60s"];
    desk.homelab(&[&in_acme[..], &ready].concat()).await?;

    let authority = |name: &str| desk.instance(name).join("tls/ca.crt");
    verified(Some(&authority("acme"))).await?;
    let Err(refused) = verified(Some(&authority("globex"))).await else {
        anyhow::bail!("globex's authority vouches for acme's service")
    };
    // The service answered, and its certificate was the reason.
    let why = refused.to_string();
    ensure!(why.contains("CONNECTED(") && why.contains("unable to get local issuer certificate"), "{why}");

    ensure!(verified(None).await.is_err(), "the host accepts acme's authority already");
    desk.homelab(&["tls", "trust", "--instance", "acme"]).await?;
    verified(None).await?;
    Ok(())
}

/// OpenSSL as a client that trusts one authority, or those of the host.
async fn verified(authority: Option<&Utf8Path>) -> Result<(), CommandError> {
    let command = Command::within(Duration::from_secs(30), "openssl").args(["s_client", "-connect", ADDRESS]);
    let command = command.args(["-servername", "app.acme.lab", "-verify_hostname", "app.acme.lab"]);
    let command = command.arg("-verify_return_error");
    let command = match authority {
        Some(path) => command.args(["-no-CApath", "-no-CAstore", "-CAfile", path.as_str()]),
        None => command,
    };
    Local.run(&command).await.map(drop)
}
