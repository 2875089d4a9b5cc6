//! Verifies a server's certificate, and keeps it for the answer.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use ring::digest::{SHA256, digest};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::{CertificateError, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

/// Verifies against the given authority. Without one, accepts every certificate, because the probe asks only whether
/// the server answers, and a wrong certificate is an answer. No secret is at risk: the audit presents these credentials
/// on purpose.
#[derive(Debug)]
pub(super) struct Vouch {
    authority: Option<Arc<WebPkiServerVerifier>>,
    shown: Mutex<Option<CertificateDer<'static>>>,
}

impl Vouch {
    /// Verifies against the certificates in this PEM text; `None` accepts every certificate.
    pub(super) fn new(authority: Option<&str>) -> io::Result<Self> {
        let verifier = |pem: &str| {
            let mut roots = RootCertStore::empty();
            for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
                roots.add(certificate.map_err(io::Error::other)?).map_err(io::Error::other)?;
            }
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
                .build()
                .map_err(io::Error::other)
        };
        Ok(Self { authority: authority.map(verifier).transpose()?, shown: Mutex::new(None) })
    }

    /// The fingerprint and the issuer of the server's certificate. Empty if the server presented none.
    pub(super) fn certificate(&self) -> Vec<String> {
        let shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(certificate) = shown.as_ref() else { return Vec::new() };
        let hash = digest(&SHA256, certificate);
        let hex: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        let issuer = x509_parser::parse_x509_certificate(certificate)
            .map_or_else(|error| format!("unreadable: {error}"), |(_, read)| read.issuer().to_string());
        vec![format!("certificate sha256 {hex}"), format!("issuer {issuer}")]
    }
}

impl ServerCertVerifier for Vouch {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = Some(certificate.clone().into_owned());
        match &self.authority {
            Some(authority) => authority.verify_server_cert(certificate, intermediates, name, ocsp, now),
            None => Ok(ServerCertVerified::assertion()),
        }
    }

    /// The server must prove in any case that it holds the certificate's key: a fingerprint that any server could
    /// present would prove nothing.
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let schemes = rustls::crypto::ring::default_provider().signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, &schemes).map_err(of_the_key)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let schemes = rustls::crypto::ring::default_provider().signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, &schemes).map_err(of_the_key)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

/// A bad signature is reported as a missing key, because it says nothing about the authority.
fn of_the_key(error: rustls::Error) -> rustls::Error {
    match error {
        rustls::Error::InvalidCertificate(CertificateError::BadSignature) => {
            rustls::Error::General("the server does not hold the key of its certificate".to_owned())
        }
        other => other,
    }
}
