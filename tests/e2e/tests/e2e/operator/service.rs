//! An HTTPS service in a cluster, with a certificate of the client's own authority.

use std::time::Duration;

use anyhow::{Context, bail, ensure};
use camino::Utf8Path;
use harness::wait::{Wait, until};
use kube::{Client, Config};
use provisioner::error::chain;
use provisioner::exec::{Command, CommandError, Local, Runner};
use provisioner::slowdown::Slowdown;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use tokio::net::TcpStream;

use super::desk::Desk;

/// The service's address on acme's only node.
const ADDRESS: &str = "192.168.61.10:30443";

const SERVICE: &str = r"
apiVersion: v1
kind: Pod
metadata: { name: app, labels: { app: app } }
spec:
  terminationGracePeriodSeconds: 0
  volumes: [{ name: tls, secret: { secretName: app } }]
  containers:
  - name: main
    image: homelab.invalid/toolbox:1
    command: [sh, -c]
    args:
    - |
      cat > /tmp/answer <<'END'
      #!/bin/sh
      while read -r line && [ ${#line} -gt 1 ]; do :; done
      printf 'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello from acme\n'
      END
      chmod +x /tmp/answer
      tls=cert=/tls/tls.crt,key=/tls/tls.key,verify=0
      exec socat OPENSSL-LISTEN:8443,reuseaddr,fork,$tls EXEC:/tmp/answer
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

/// A TLS client that trusts acme's authority verifies the service, and one that trusts globex's authority does not. The
/// host accepts the service's certificate after `tls trust`.
pub(super) async fn is_verified_by_its_own_clients_only(desk: &Desk) -> anyhow::Result<()> {
    desk.homelab(&["tls", "issue", "--instance", "acme", "app.acme.lab"]).await?;
    desk.refusal(2, &["tls", "issue", "--instance", "acme", "app.globex.lab"]).await?;
    let folder = desk.instance("acme").join("tls");
    let file = |extension: &str| folder.join(format!("app.acme.lab.{extension}"));
    let (certificate, key) = (format!("--cert={}", file("crt")), format!("--key={}", file("key")));
    let in_acme = ["kubectl", "acme", "--"];
    let create = [&in_acme[..], &["create", "secret", "tls", "app", &certificate, &key]].concat();
    desk.homelab(&create).await?;
    desk.homelab_with(&[&in_acme[..], &["apply", "--filename", "-"]].concat(), SERVICE).await?;
    let ready = ["wait", "--for", "condition=Ready", "pod/app", "--timeout", "60s"];
    desk.homelab(&[&in_acme[..], &ready].concat()).await?;

    // kube-proxy opens the NodePort a little after the pod is ready.
    until(
        format!("a listener on {ADDRESS}"),
        Slowdown::of_host().stretch(Duration::from_secs(30)),
        async || {
            let connected = TcpStream::connect(ADDRESS).await;
            Ok::<_, std::io::Error>(
                connected.map_or_else(|error| Wait::NotYet(error.to_string()), |_| Wait::Done(())),
            )
        },
    )
    .await?;

    let authority = |name: &str| desk.instance(name).join("tls/ca.crt");
    let page = fetched(&authority("acme")).await?;
    ensure!(page == "hello from acme\n", "another service answers: {page}");
    let Err(refused) = fetched(&authority("globex")).await else {
        bail!("the service is verified with globex's authority")
    };
    // The failure's cause is the service's certificate.
    ensure!(format!("{refused:#}").contains("invalid peer certificate: UnknownIssuer"), "{refused:#}");

    let leaf = file("crt");
    ensure!(accepted(&leaf).await.is_err(), "the host already accepts acme's authority");
    desk.homelab(&["tls", "trust", "--instance", "acme"]).await?;
    Ok(accepted(&leaf).await?)
}

/// Fetches the service's page as a TLS client (rustls) that trusts one authority only.
async fn fetched(authority: &Utf8Path) -> anyhow::Result<String> {
    let mut config = Config::new(format!("https://{ADDRESS}").parse()?);
    config.root_cert = Some(vec![CertificateDer::from_pem_file(authority)?.to_vec()]);
    config.tls_server_name = Some("app.acme.lab".to_owned());
    config.connect_timeout = Some(Duration::from_secs(10));
    config.read_timeout = Some(Duration::from_secs(10));
    let client = Client::try_from(config)?;
    let request = http::Request::get("/").body(Vec::new()).context("a request")?;
    client.request_text(request).await.map_err(|error| anyhow::anyhow!(chain(&error)))
}

/// Fails unless OpenSSL accepts the certificate for its name with the host's trust store.
async fn accepted(leaf: &Utf8Path) -> Result<(), CommandError> {
    let verify = Command::within(Duration::from_secs(30), "openssl").args(["verify", "-verify_hostname"]);
    let verify = verify.args(["app.acme.lab", "-CApath", "/etc/ssl/certs"]).arg(leaf.as_str());
    Local.run(&verify).await.map(drop)
}
