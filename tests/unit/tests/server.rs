//! A fake API server on loopback: it presents a certificate and gives the same answer to all requests.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use camino::Utf8PathBuf;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::given::House;

/// The certificate that the server presents.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shows {
    /// A certificate by the authority in the clients' kubeconfig.
    Own,
    /// An expired certificate by that authority.
    Expired,
    /// A certificate by another authority.
    Foreign,
    /// No certificate: the server does not use TLS.
    Nothing,
}

/// An API server that runs until the test ends.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    authority: String,
}

impl Server {
    /// Starts a server that answers all requests with this status and body.
    pub(crate) async fn answering(shows: Shows, status: &str, body: &str) -> Self {
        let (own, foreign) = (Authority::new(), Authority::new());
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let server = Self { address: listener.local_addr().unwrap(), authority: own.pem.clone() };
        let acceptor = match shows {
            Shows::Own => Some(own.acceptor(2100)),
            Shows::Expired => Some(own.acceptor(2001)),
            Shows::Foreign => Some(foreign.acceptor(2100)),
            Shows::Nothing => None,
        };
        let length = body.len();
        let answer = format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\
             Connection: close\r\n\r\n{body}"
        );
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // A client that closes the connection has its answer, or does not need one.
                let _ = answer_one(stream, acceptor.clone(), &answer).await;
            }
        });
        server
    }

    /// Writes a kubeconfig for this server.
    pub(crate) fn kubeconfig(&self, house: &House, more: &str) -> Utf8PathBuf {
        let (authority, path) = (house.path("ca.crt"), house.path("server.kubeconfig"));
        std::fs::write(&authority, &self.authority).unwrap();
        let server = format!("https://{}", self.address);
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\n\
             clusters: [{{name: c, cluster: {{server: '{server}', certificate-authority: {authority}{more}}}}}]\n\
             contexts: [{{name: c, context: {{cluster: c, user: u}}}}]\n\
             users: [{{name: u, user: {{token: t}}}}]\n"
        );
        std::fs::write(&path, text).unwrap();
        path
    }
}

async fn answer_one(mut stream: TcpStream, tls: Option<TlsAcceptor>, answer: &str) -> std::io::Result<()> {
    match tls {
        None => stream.write_all(answer.as_bytes()).await,
        Some(tls) => {
            let mut stream = tls.accept(stream).await?;
            let mut asked = Vec::new();
            while !asked.ends_with(b"\r\n\r\n") {
                if stream.read_buf(&mut asked).await? == 0 {
                    return Ok(());
                }
            }
            stream.write_all(answer.as_bytes()).await?;
            stream.shutdown().await
        }
    }
}

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// An acceptor with a certificate for loopback that expires at the end of this year.
    fn acceptor(&self, year: i32) -> TlsAcceptor {
        let mut params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
        (params.not_before, params.not_after) = (date_time_ymd(2000, 1, 1), date_time_ymd(year, 12, 31));
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap().der().clone();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config =
            ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = config.with_no_client_auth().with_single_cert(vec![certificate], key).unwrap();
        TlsAcceptor::from(Arc::new(config))
    }
}
