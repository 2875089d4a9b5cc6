//! An instance's authority issues certificates only for the instance's names, and TLS clients enforce that: the
//! certificates' contents, the verdict of two TLS implementations, and the files.

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

/// An authority that is valid from now on, by the clock that TLS implementations use.
pub(crate) fn authority(name: &str) -> Authority {
    Authority::make(&format!("HomeLab CA - {name}"), &format!("{name}.lab"), Timestamp::now()).unwrap()
}

pub(crate) fn leaf(authority: &Authority, suffix: &str, names: &[&str]) -> Leaf {
    let names = HostNames::parse(suffix, names).unwrap();
    authority.issue(&names, 30, Timestamp::now()).unwrap()
}

/// A certificate and its key as PEM, signed with a stolen key and without our rules.
#[derive(Clone)]
struct Forged {
    certificate: String,
    key: String,
}

/// A leaf that a thief signs with an authority's key.
fn forged(authority: &Authority, names: Vec<SanType>) -> Forged {
    let mut params = params("forged");
    params.subject_alt_names = names;
    signed(params, &authority.certificate, authority.key.reveal())
}

/// An authority that a thief signs with an authority's key, although its path length constraint forbids that.
fn forged_authority(authority: &Authority) -> Forged {
    let mut params = params("forged authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    signed(params, &authority.certificate, authority.key.reveal())
}

/// The same authority, with the same name and key, but without constraints.
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
