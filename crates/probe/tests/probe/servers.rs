//! Answers of DNS and HTTPS servers.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use hickory_proto::op::{Message, MessageType, ResponseCode};
use hickory_proto::rr::{RData, Record, rdata};
use probe::{Ask, Credentials, Nonce, ProbeOutcome};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use rustls_pki_types::PrivateKeyDer;

use crate::run::{RUN, batch, prober};

const SOON: Duration = Duration::from_secs(3);

fn what(outcome: &ProbeOutcome) -> &[String] {
    match outcome {
        ProbeOutcome::Answered { what, .. } => what,
        other => panic!("no answer: {other:?}"),
    }
}

#[test]
fn names_are_asked_of_this_server_with_the_nonce_as_a_label() {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let server = socket.local_addr().unwrap();
    let serving = thread::spawn(move || {
        let mut names = Vec::new();
        for _ in 0..2 {
            let mut buffer = [0; 1500];
            let (length, peer) = socket.recv_from(&mut buffer).unwrap();
            let mut message = Message::from_vec(&buffer[..length]).unwrap();
            let name = message.queries[0].name().clone();
            message.metadata.message_type = MessageType::Response;
            if name.to_ascii().ends_with("acme.lab.") {
                let address = RData::A(rdata::A::new(192, 168, 48, 7));
                message.add_answer(Record::from_rdata(name.clone(), 5, address));
            } else {
                message.metadata.response_code = ResponseCode::NXDomain;
            }
            socket.send_to(&message.to_vec().unwrap(), peer).unwrap();
            names.push(name.to_ascii());
        }
        names.sort();
        names
    });
    let ask = |name: &str| Ask::Dns { server, name: name.to_owned() };
    let done = prober(&batch(SOON, [ask("*.acme.lab"), ask("*.globex.lab")]));
    assert_eq!(what(done.outcome(0)), ["192.168.48.7"]);
    assert_eq!(what(done.outcome(1)), ["NXDOMAIN"]);
    let expected =
        [format!("{}.acme.lab.", Nonce::new(RUN, 0)), format!("{}.globex.lab.", Nonce::new(RUN, 1))];
    assert_eq!(serving.join().unwrap(), expected);
}

/// A certificate authority, which signs certificates for the tests.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn sign(&self) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["api.acme.lab".to_owned()]).unwrap();
        (params.signed_by(&key, &self.0).unwrap(), key)
    }
}

/// A server that answers 401 to requests without a client certificate or token. It serves as many connections as given.
fn https(acme: &Authority, connections: usize) -> SocketAddr {
    let (certificate, key) = acme.sign();
    let mut roots = RootCertStore::empty();
    roots.add(acme.0.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.allow_unauthenticated().build().unwrap())
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().take(connections) {
            let mut tls =
                StreamOwned::new(ServerConnection::new(Arc::clone(&config)).unwrap(), stream.unwrap());
            let mut request = [0; 2048];
            // A TLS client that does not trust the server disconnects here.
            let Ok(length) = tls.read(&mut request) else { continue };
            let shown = tls.conn.peer_certificates().is_some();
            let told = request[..length].windows(14).any(|part| part == b"Bearer hunter2");
            let status = if shown || told { "200 OK" } else { "401 Unauthorized" };
            let _ = write!(tls, "HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
            tls.conn.send_close_notify();
            let _ = tls.flush();
        }
    });
    address
}

#[test]
fn an_http_status_comes_with_the_servers_certificate_and_authorities_are_distinguished() {
    let (acme, globex) = (Authority::new("acme authority"), Authority::new("globex authority"));
    let to = https(&acme, 6);
    let ask = |credentials, authority: Option<&Authority>| Ask::Https {
        to,
        name: "api.acme.lab".to_owned(),
        path: "/version".to_owned(),
        credentials,
        authority: authority.map(|authority| authority.0.pem()),
    };
    let token = |token: &str| Credentials::Token { token: token.to_owned() };
    let certificate = |by: &Authority| {
        let (certificate, key) = by.sign();
        Credentials::Certificate { certificate: certificate.pem(), key: key.serialize_pem() }
    };
    let asks = [
        ask(Credentials::None, None),
        ask(token("hunter2"), Some(&acme)),
        ask(token("wrong"), Some(&globex)),
        ask(certificate(&acme), None),
        ask(certificate(&globex), None),
        ask(token("wrong"), Some(&acme)),
        Ask::Https {
            to,
            name: "api.acme.lab".to_owned(),
            path: "/".to_owned(),
            credentials: Credentials::Certificate { certificate: String::new(), key: "no key".to_owned() },
            authority: None,
        },
    ];
    let done = prober(&batch(SOON, asks));
    assert_eq!(what(done.outcome(0))[0], "HTTP 401");
    assert!(what(done.outcome(0))[1].starts_with("certificate sha256 "), "{:?}", done.outcome(0));
    assert_eq!(what(done.outcome(0))[1].len(), "certificate sha256 ".len() + 64);
    assert!(what(done.outcome(0))[2].contains("acme authority"), "{:?}", done.outcome(0));
    assert_eq!(what(done.outcome(1))[0], "HTTP 200");
    assert_eq!(what(done.outcome(2))[0], "certificate refused: UnknownIssuer");
    assert_eq!(what(done.outcome(3))[0], "HTTP 200");
    let foreign = &what(done.outcome(4))[0];
    assert!(foreign.starts_with("TLS alert") || foreign.starts_with("closed"), "{foreign}");
    assert_eq!(what(done.outcome(5))[0], "HTTP 401");
    assert!(matches!(done.outcome(6), ProbeOutcome::NotRun { .. }), "{:?}", done.outcome(6));
}
