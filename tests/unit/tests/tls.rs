//! An instance's authority vouches for its own names, and clients hold it to that: what it says, what two TLS
//! implementations make of it, and how it is kept.

mod authority;
mod client;
mod folder;
mod names;
mod openssl;

use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SanType,
};

use provisioner::tls::{Authority, HostNames, Leaf};

/// An authority that begins now, by the clock that TLS implementations look at.
pub(crate) fn authority(name: &str) -> Authority {
    Authority::make(&format!("HomeLab CA - {name}"), &format!("{name}.lab"), Timestamp::now()).unwrap()
}

pub(crate) fn leaf(authority: &Authority, suffix: &str, names: &[&str]) -> Leaf {
    let names = HostNames::parse(suffix, names).unwrap();
    authority.issue(&names, 30, Timestamp::now()).unwrap()
}

/// A certificate and its key as PEM, made with somebody's key and none of our rules.
#[derive(Clone)]
struct Forged {
    certificate: String,
    key: String,
}

/// What a thief signs with an authority's key.
fn forged(authority: &Authority, names: Vec<SanType>) -> Forged {
    let mut params = params("forged");
    params.subject_alt_names = names;
    signed(params, &authority.certificate, authority.key.reveal())
}

/// An authority below an authority, which this one may not have.
fn forged_authority(authority: &Authority) -> Forged {
    let mut params = params("forged authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    signed(params, &authority.certificate, authority.key.reveal())
}

/// The same authority without its constraints: the same name and the same key.
fn unconstrained(authority: &Authority) -> Authority {
    let mut params = params(&authority.about.subject);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let key = KeyPair::from_pem(authority.key.reveal()).unwrap();
    Authority { certificate: params.self_signed(&key).unwrap().pem(), ..authority.clone() }
}

fn signed(params: CertificateParams, issuer: &str, issuers_key: &str) -> Forged {
    let issuer = Issuer::from_ca_cert_pem(issuer, KeyPair::from_pem(issuers_key).unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    Forged { certificate: params.signed_by(&key, &issuer).unwrap().pem(), key: key.serialize_pem() }
}

fn params(subject: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, subject);
    params.use_authority_key_identifier_extension = true;
    params
}

fn dns(name: &str) -> SanType {
    SanType::DnsName(name.try_into().unwrap())
}

fn mail(address: &str) -> SanType {
    SanType::Rfc822Name(address.try_into().unwrap())
}

fn ip(address: &str) -> SanType {
    SanType::IpAddress(address.parse().unwrap())
}
