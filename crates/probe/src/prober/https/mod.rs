//! GET over HTTPS, with given credentials.
//!
//! Only the status of the answer counts, so the request is written by hand, and httparse, which hyper uses, too, parses
//! the head of the answer. `vouch` verifies the server's certificate, and keeps it.

mod vouch;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use probe::{Credentials, ProbeOutcome};
use rustls::ClientConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsConnector;

use super::attempt::Attempt;
use super::tcp;
use vouch::Vouch;

/// The most bytes of an answer's head.
const HEAD: usize = 16 << 10;

/// A request and its destination.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) to: SocketAddr,
    pub(super) name: String,
    pub(super) path: String,
    pub(super) credentials: Credentials,
    pub(super) authority: Option<String>,
}

/// Sends the request. Once the connection is established, every result is an answer, including a refused certificate.
pub(super) async fn ask(attempt: &Attempt, request: Request) -> io::Result<ProbeOutcome> {
    let server = ServerName::try_from(request.name.clone()).map_err(io::Error::other)?;
    let text = written(&request)?;
    let vouch = Arc::new(Vouch::new(request.authority.as_deref())?);
    let config = config(&vouch, &request.credentials)?;
    let stream = tcp::connect(attempt, request.to).await?;
    attempt.is_served(); // a server under load may take long for a handshake

    let answered = |word: String| {
        let what = std::iter::once(word).chain(vouch.certificate()).collect();
        ProbeOutcome::Answered { identity: None, from: Some(request.to.ip()), what }
    };
    attempt.so_far(answered("connected".to_owned()));
    let mut stream = match TlsConnector::from(Arc::new(config)).connect(server, stream).await {
        Ok(stream) => stream,
        Err(error) => return Ok(answered(refusal(&error))),
    };
    attempt.so_far(answered("TLS".to_owned()));
    let exchange = async {
        stream.write_all(text.as_bytes()).await?;
        status(&mut stream).await
    };
    Ok(answered(exchange.await.unwrap_or_else(|error| refusal(&error))))
}

fn config(vouch: &Arc<Vouch>, credentials: &Credentials) -> io::Result<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(vouch) as Arc<_>);
    match credentials {
        Credentials::Certificate { certificate, key } | Credentials::FrontProxy { certificate, key, .. } => {
            let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificate.as_bytes()).collect();
            let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(io::Error::other)?;
            builder.with_client_auth_cert(chain.map_err(io::Error::other)?, key).map_err(io::Error::other)
        }
        Credentials::None | Credentials::Token { .. } => Ok(builder.with_no_client_auth()),
    }
}

/// The text of the request (RFC 9112, section 3).
fn written(request: &Request) -> io::Result<String> {
    let headers: &[(&str, &str)] = match &request.credentials {
        Credentials::Token { token } => &[("Authorization: Bearer", token)],
        Credentials::FrontProxy { user, group, .. } => {
            &[("X-Remote-User:", user), ("X-Remote-Group:", group)]
        }
        Credentials::None | Credentials::Certificate { .. } => &[],
    };
    let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
    let sound = headers.iter().all(|(_, value)| plain(value));
    if !sound || !plain(&request.path) || !request.path.starts_with('/') {
        return Err(io::Error::other(
            "the path or the credentials have characters that a request cannot contain",
        ));
    }
    let credentials: String = headers.iter().map(|(name, value)| format!("{name} {value}\r\n")).collect();
    let Request { name, path, .. } = request;
    let (host, end) = (format!("Host: {name}\r\n"), "Connection: close\r\n\r\n");
    Ok(format!("GET {path} HTTP/1.1\r\n{host}{credentials}Accept: */*\r\n{end}"))
}

/// Reads until the status code is known.
async fn status(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<String> {
    let mut head = Vec::new();
    loop {
        let mut part = [0; 1024];
        let length = stream.read(&mut part).await?;
        head.extend_from_slice(&part[..length]);
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut answer = httparse::Response::new(&mut headers);
        let parsed = answer.parse(&head);
        match (answer.code, parsed) {
            (Some(code), _) => return Ok(format!("HTTP {code}")),
            (None, Err(error)) => return Ok(format!("no HTTP: {error}")),
            (None, Ok(_)) if length == 0 || head.len() >= HEAD => return Ok("no HTTP".to_owned()),
            (None, Ok(_)) => {}
        }
    }
}

/// Why the exchange ended, in words: which side refused the certificate, or how the connection ended.
fn refusal(error: &io::Error) -> String {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match tls {
        Some(rustls::Error::InvalidCertificate(why)) => format!("certificate refused: {why:?}"),
        Some(rustls::Error::AlertReceived(alert)) => format!("TLS alert {alert:?}"),
        Some(other) => format!("TLS: {other}"),
        None => format!("closed: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(path: &str, credentials: Credentials) -> Request {
        let to = SocketAddr::from(([127, 0, 0, 1], 6443));
        Request { to, name: "api.acme.lab".to_owned(), path: path.to_owned(), credentials, authority: None }
    }

    #[test]
    fn a_front_proxy_names_the_user_for_whom_it_speaks() {
        let [certificate, key] = ["a certificate", "a key"].map(str::to_owned);
        let proxy = |user: &str| Credentials::FrontProxy {
            certificate: certificate.clone(),
            key: key.clone(),
            user: user.to_owned(),
            group: "system:masters".to_owned(),
        };
        let text = written(&request("/api", proxy("admin"))).unwrap();
        assert!(text.contains("\r\nX-Remote-User: admin\r\nX-Remote-Group: system:masters\r\n"), "{text}");
        assert!(written(&request("/api", proxy("a\r\nb"))).is_err());
    }

    #[test]
    fn paths_and_tokens_that_would_break_out_of_the_request_are_refused() {
        let token = |token: &str| Credentials::Token { token: token.to_owned() };
        let text = written(&request("/version", token("abc"))).unwrap();
        assert!(
            text.starts_with("GET /version HTTP/1.1\r\nHost: api.acme.lab\r\nAuthorization: Bearer abc\r\n")
        );
        for (path, credentials) in
            [("/ HTTP/1.0\r\n\r\n", Credentials::None), ("no-slash", Credentials::None), ("/", token("a\nb"))]
        {
            assert!(written(&request(path, credentials)).is_err(), "{path}");
        }
    }

    #[tokio::test]
    async fn an_http_status_is_read_from_its_first_line() {
        let cases = [
            ("HTTP/1.1 401 Unauthorized\r\n", "HTTP 401"),
            ("SSH-2.0-OpenSSH\r\n", "no HTTP: invalid HTTP version"),
            ("HTT", "no HTTP"),
        ];
        for (sent, expected) in cases {
            assert_eq!(status(&mut sent.as_bytes()).await.unwrap(), expected);
        }
    }
}
