//! rustls as a TLS client that trusts one authority: it accepts the hosts of that authority and refuses all others.
//!
//! Each refusal has a control: the same handshake without the constraint succeeds, so the constraint is the reason.

use std::io::{Read, Write};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{CertificateError, ClientConfig, ClientConnection, Error, RootCertStore};
use rustls::{ServerConfig, ServerConnection};

use provisioner::tls::{Authority, Leaf};

use super::*;

impl From<Leaf> for Forged {
    fn from(leaf: Leaf) -> Self {
        Self { certificate: leaf.certificate, key: leaf.key.reveal().to_owned() }
    }
}

/// The handshake of a TLS client that trusts only this authority, with a server for this host that presents this chain.
fn handshake(trusted: &Authority, host: &str, chain: &[Forged]) -> Result<(), Error> {
    let certificate = |pem: &str| CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(certificate(&trusted.certificate))?;
    let client = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let key = PrivateKeyDer::from_pem_slice(chain[0].key.as_bytes()).unwrap();
    let server = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain.iter().map(|one| certificate(&one.certificate)).collect(), key)?;
    let host = ServerName::try_from(host.to_owned()).unwrap();
    let mut client = ClientConnection::new(Arc::new(client), host)?;
    let mut server = ServerConnection::new(Arc::new(server))?;
    while client.is_handshaking() || server.is_handshaking() {
        let mut wire = Vec::new();
        client.write_tls(&mut wire).unwrap();
        server.read_tls(&mut wire.as_slice()).unwrap();
        server.process_new_packets()?;
        let mut wire = Vec::new();
        server.write_tls(&mut wire).unwrap();
        client.read_tls(&mut wire.as_slice()).unwrap();
        client.process_new_packets()?;
    }
    // After a successful handshake the connection transports data.
    server.writer().write_all(b"hello").unwrap();
    let (mut wire, mut heard) = (Vec::new(), [0; 5]);
    server.write_tls(&mut wire).unwrap();
    client.read_tls(&mut wire.as_slice()).unwrap();
    client.process_new_packets()?;
    client.reader().read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"hello");
    Ok(())
}

fn because_of_the_constraint(result: &Result<(), Error>) -> bool {
    match result {
        Err(Error::InvalidCertificate(CertificateError::Other(why))) => {
            why.to_string() == "NameConstraintViolation"
        }
        _ => false,
    }
}

#[test]
fn a_client_of_acme_accepts_acmes_hosts_and_refuses_those_of_globex() {
    let (acme, globex) = (authority("acme"), authority("globex"));
    let acmes = Forged::from(leaf(&acme, "acme.lab", &["app.acme.lab"]));
    let globexes = Forged::from(leaf(&globex, "globex.lab", &["app.globex.lab"]));
    handshake(&acme, "app.acme.lab", std::slice::from_ref(&acmes)).unwrap();
    handshake(&globex, "app.globex.lab", std::slice::from_ref(&globexes)).unwrap();
    for (trusted, host, shown) in [(&acme, "app.globex.lab", globexes), (&globex, "app.acme.lab", acmes)] {
        let refused = handshake(trusted, host, &[shown]);
        assert_eq!(refused, Err(Error::InvalidCertificate(CertificateError::UnknownIssuer)));
    }
}

#[test]
fn a_wildcard_and_the_suffix_itself_work_and_a_name_that_is_not_in_the_leaf_does_not() {
    let acme = authority("acme");
    let shown = [Forged::from(leaf(&acme, "acme.lab", &["acme.lab", "*.acme.lab"]))];
    handshake(&acme, "acme.lab", &shown).unwrap();
    handshake(&acme, "any.acme.lab", &shown).unwrap();
    let refused = handshake(&acme, "a.b.acme.lab", &shown).unwrap_err();
    let name_is_wrong =
        matches!(refused, Error::InvalidCertificate(CertificateError::NotValidForNameContext { .. }));
    assert!(name_is_wrong, "{refused:?}");
}

#[test]
fn a_leaf_that_is_forged_with_acmes_key_is_refused_because_of_the_constraint() {
    let acme = authority("acme");
    let without = unconstrained(&acme);
    // The control: the same forgery for a name below acme's suffix is accepted.
    handshake(&acme, "x.acme.lab", &[forged(&acme, vec![dns("x.acme.lab")])]).unwrap();
    let hosts = [
        ("x.globex.lab", vec![dns("x.globex.lab")]),
        ("globex.lab", vec![dns("globex.lab")]),
        ("notacme.lab", vec![dns("notacme.lab")]),
        ("any.globex.lab", vec![dns("*.globex.lab")]),
        ("www.example.com", vec![dns("www.example.com")]),
        ("192.168.60.10", vec![ip("192.168.60.10")]),
        ("fd00::1", vec![ip("fd00::1")]),
        // Also refused if the requested name is allowed.
        ("x.acme.lab", vec![dns("x.acme.lab"), dns("x.globex.lab")]),
        ("x.acme.lab", vec![dns("x.acme.lab"), ip("10.0.0.1")]),
        ("x.acme.lab", vec![dns("x.acme.lab"), mail("ada@globex.lab")]),
    ];
    for (host, names) in hosts {
        let shown = [forged(&acme, names.clone())];
        let refused = handshake(&acme, host, &shown);
        assert!(because_of_the_constraint(&refused), "{host} {names:?}: {refused:?}");
        // The control: without the constraint it is accepted.
        handshake(&without, host, &shown).unwrap_or_else(|error| panic!("{host} {names:?}: {error}"));
    }
}

#[test]
fn an_authority_that_is_forged_below_acmes_does_not_bypass_the_constraint() {
    let acme = authority("acme");
    let below = forged_authority(&acme);
    let show = |host: &str| {
        let mut params = params("forged");
        params.subject_alt_names = vec![dns(host)];
        [signed(params, &below.certificate, &below.key), below.clone()]
    };
    handshake(&unconstrained(&acme), "x.globex.lab", &show("x.globex.lab")).unwrap();
    let refused = handshake(&acme, "x.globex.lab", &show("x.globex.lab"));
    assert!(because_of_the_constraint(&refused), "{refused:?}");
}
