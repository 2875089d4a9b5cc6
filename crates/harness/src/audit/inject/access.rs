//! [`Access`]: waits until a server accepts or refuses credentials. A control plane needs some time to read changed
//! files.

use std::time::Duration;

use k8s_openapi::ByteString;
use kube::client::Body;
use kube::{Client, Config};
use probe::Credentials;
use provisioner::slowdown::Slowdown;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use super::InjectError;
use crate::wait::{self, Wait};

/// The deadline for a control plane to react to a change. Stretched where nodes are slow.
const TIMEOUT: Duration = Duration::from_secs(90);
/// The deadline of one answer. Stretched where nodes are slow.
const ANSWER: Duration = Duration::from_secs(5);

/// A request to a server with credentials.
#[derive(Debug, Clone)]
pub(in crate::audit) struct Access {
    pub(in crate::audit) cluster: String,
    /// The server's URL: `https://192.168.60.10:6443`.
    pub(in crate::audit) server: String,
    /// The CA in PEM that has to have signed the server's certificate. `None`: any certificate is accepted.
    pub(in crate::audit) authority: Option<String>,
    pub(in crate::audit) credentials: Credentials,
    /// The path that is requested.
    pub(in crate::audit) path: &'static str,
    /// The slowdown of the server's cluster.
    pub(in crate::audit) slowdown: Slowdown,
}

impl Access {
    /// Waits until the server accepts the request (2xx), or until it does not.
    pub(super) async fn until(&self, open: bool) -> Result<(), InjectError> {
        let what = format!("{} to {}", self.server, if open { "accept" } else { "refuse" });
        let waited = wait::until(what, self.slowdown.stretch(TIMEOUT), async || {
            Ok::<_, kube::Error>(match self.status().await {
                Ok(status) if (200..300).contains(&status) == open => Wait::Done(()),
                Ok(status) => Wait::NotYet(format!("HTTP {status}")),
                // A TLS client that rejects the server's certificate gets no answer: that counts as refused.
                Err(_) if !open && self.authority.is_some() => Wait::Done(()),
                Err(error) => Wait::NotYet(provisioner::error::chain(&error)),
            })
        });
        waited
            .await
            .map_err(|source| InjectError::Access { cluster: self.cluster.clone(), source: Box::new(source) })
    }

    /// The HTTP status of the server's answer. Each call opens a new connection, because a server authenticates an old
    /// one only once.
    pub(in crate::audit) async fn status(&self) -> Result<u16, kube::Error> {
        let mut config = Config::new(self.server.parse().expect("an address and a port are a URI"));
        let authority = self.authority.as_deref();
        let authority = authority.and_then(|pem| CertificateDer::from_pem_slice(pem.as_bytes()).ok());
        config.accept_invalid_certs = authority.is_none();
        config.root_cert = authority.map(|certificate| vec![certificate.to_vec()]);
        let answer = Some(self.slowdown.stretch(ANSWER).on_clock());
        (config.connect_timeout, config.read_timeout) = (answer, answer);
        match &self.credentials {
            Credentials::None => {}
            Credentials::Token { token } => config.auth_info.token = Some(token.clone().into()),
            Credentials::Certificate { certificate, key }
            | Credentials::FrontProxy { certificate, key, .. } => {
                config.auth_info.client_certificate_data = Some(base64(certificate));
                config.auth_info.client_key_data = Some(base64(key).into());
            }
        }
        let request = http::Request::get(self.path);
        let request = match &self.credentials {
            Credentials::FrontProxy { user, group, .. } => {
                request.header("X-Remote-User", user).header("X-Remote-Group", group)
            }
            Credentials::None | Credentials::Certificate { .. } | Credentials::Token { .. } => request,
        };
        let request = request.body(Body::empty()).map_err(kube::Error::HttpError)?;
        Ok(Client::try_from(config)?.send(request).await?.status().as_u16())
    }
}

/// The form of certificates and keys in a kubeconfig.
fn base64(text: &str) -> String {
    let encoded = serde_json::to_value(ByteString(text.as_bytes().to_vec()));
    encoded.ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}
