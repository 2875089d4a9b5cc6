//! The contents of an authority and its leaves, read by an independent parser.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::{FromDer, X509Certificate};

use provisioner::tls::{Authority, CertificateState, HostNames};

use crate::given::now;

fn der(pem: &str) -> Vec<u8> {
    x509_parser::pem::parse_x509_pem(pem.as_bytes()).unwrap().1.contents
}

fn parse(der: &[u8]) -> X509Certificate<'_> {
    X509Certificate::from_der(der).unwrap().1
}

fn acme() -> Authority {
    Authority::make("HomeLab CA - acme", "acme.lab", now()).unwrap()
}

fn key_id(certificate: &X509Certificate<'_>, authoritys: bool) -> Vec<u8> {
    let ids = certificate.extensions().iter().filter_map(|extension| match extension.parsed_extension() {
        ParsedExtension::AuthorityKeyIdentifier(id) if authoritys => id.key_identifier.clone(),
        ParsedExtension::SubjectKeyIdentifier(id) if !authoritys => Some(id.clone()),
        _ => None,
    });
    ids.map(|id| id.0.to_vec()).next().unwrap()
}

#[test]
fn an_authority_may_sign_for_its_suffix_and_for_nothing_else() {
    let pem = der(&acme().certificate);
    let certificate = parse(&pem);
    let constraints = certificate.name_constraints().unwrap().unwrap();
    assert!(constraints.critical);
    let names = |subtrees: &Option<Vec<x509_parser::extensions::GeneralSubtree<'_>>>| {
        let subtrees = subtrees.as_ref().unwrap().iter();
        subtrees.map(|subtree| format!("{:?}", subtree.base)).collect::<Vec<_>>()
    };
    let permitted = [GeneralName::DNSName("acme.lab"), GeneralName::RFC822Name("acme.lab")];
    assert_eq!(names(&constraints.value.permitted_subtrees), permitted.map(|name| format!("{name:?}")));
    let excluded = [GeneralName::IPAddress(&[0; 8]), GeneralName::IPAddress(&[0; 32])];
    assert_eq!(names(&constraints.value.excluded_subtrees), excluded.map(|name| format!("{name:?}")));
}

#[test]
fn an_authority_signs_leaves_that_identify_servers_and_no_other_authority() {
    let pem = der(&acme().certificate);
    let certificate = parse(&pem);
    assert_eq!(certificate.subject().to_string(), "CN=HomeLab CA - acme");
    assert_eq!(certificate.issuer(), certificate.subject());
    let basic = certificate.basic_constraints().unwrap().unwrap();
    assert!(basic.critical && basic.value.ca);
    assert_eq!(basic.value.path_len_constraint, Some(0));
    let usage = certificate.key_usage().unwrap().unwrap();
    assert!(usage.critical);
    assert_eq!(usage.value.flags, (1 << 5) | (1 << 6), "keyCertSign and cRLSign");
    let purposes = certificate.extended_key_usage().unwrap().unwrap().value;
    assert!(purposes.server_auth && !purposes.any && !purposes.client_auth);
    assert!(!purposes.code_signing && !purposes.email_protection && purposes.other.is_empty());
    assert!(certificate.verify_signature(None).is_ok());
}

#[test]
fn a_leaf_is_for_its_names_and_points_to_its_authority() {
    let authority = acme();
    let names = HostNames::parse("acme.lab", &["App.acme.lab", "*.acme.lab", "app.acme.lab"]).unwrap();
    let leaf = authority.issue(&names, 397, now()).unwrap();
    assert_eq!(leaf.about.names, ["app.acme.lab", "*.acme.lab"]);
    let (pem, authoritys) = (der(&leaf.certificate), der(&authority.certificate));
    let (certificate, issuer) = (parse(&pem), parse(&authoritys));
    assert_eq!(certificate.subject().to_string(), "CN=app.acme.lab");
    assert_eq!(certificate.issuer(), issuer.subject());
    assert_eq!(key_id(&certificate, true), key_id(&issuer, false));
    assert_ne!(key_id(&certificate, false), key_id(&issuer, false));
    assert!(!certificate.is_ca());
    let purposes = certificate.extended_key_usage().unwrap().unwrap().value;
    assert!(purposes.server_auth && !purposes.any && !purposes.client_auth);
    assert_eq!(certificate.key_usage().unwrap().unwrap().value.flags, 1, "digitalSignature");
    assert!(authority.vouches_for(&leaf.certificate));
    assert!(!acme().vouches_for(&leaf.certificate), "the authority has the same name but another key");
}

#[test]
fn a_first_name_that_is_too_long_for_a_common_name_is_in_the_names_alone() {
    let long = format!("{}.acme.lab", "a".repeat(60));
    let names = HostNames::parse("acme.lab", &[&long]).unwrap();
    let leaf = acme().issue(&names, 1, now()).unwrap();
    let pem = der(&leaf.certificate);
    let certificate = parse(&pem);
    assert_eq!(certificate.subject().to_string(), "");
    let alternatives = certificate.subject_alternative_name().unwrap().unwrap();
    assert!(alternatives.critical, "critical, because the subject is empty (RFC 5280, section 4.2.1.6)");
    assert_eq!(leaf.about.names, [long]);
}

#[test]
fn serial_numbers_have_sixteen_bytes_are_positive_and_never_repeat() {
    let authority = acme();
    let names = HostNames::parse("acme.lab", &["acme.lab"]).unwrap();
    let pems = (0..50).map(|_| authority.issue(&names, 1, now()).unwrap().certificate);
    let serials: BTreeSet<Vec<u8>> = pems
        .map(|pem| {
            let der = der(&pem);
            parse(&der).raw_serial().to_vec()
        })
        .collect();
    assert_eq!(serials.len(), 50);
    assert!(serials.iter().all(|serial| serial.len() == 16 && serial[0] < 0x80), "{serials:?}");
}

#[test]
fn a_leaf_lives_as_long_as_asked_but_never_longer_than_its_authority() {
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    let authority = acme();
    assert_eq!(authority.about.not_before, at("2026-01-02T02:59:05Z"), "valid from five minutes ago");
    assert_eq!(authority.about.not_after, at("2029-01-01T03:04:05Z"), "valid for three years");
    let names = HostNames::parse("acme.lab", &["app.acme.lab"]).unwrap();
    let issued = |days, now| authority.issue(&names, days, now).unwrap().about;
    assert_eq!(issued(30, now()).not_before, at("2026-01-02T02:59:05Z"));
    assert_eq!(issued(30, now()).not_after, at("2026-02-01T03:04:05Z"));
    assert_eq!(issued(397, now()).not_after, at("2027-02-03T03:04:05Z"));
    assert_eq!(issued(1000, now()).not_after, at("2027-02-03T03:04:05Z"), "at most 397 days");
    let late = at("2028-12-01T00:00:00Z");
    assert_eq!(issued(397, late).not_after, authority.about.not_after);
}

#[test]
fn a_certificate_is_expiring_in_its_last_month() {
    let about = acme().about;
    let before = |days: i64| about.standing(about.not_after - SignedDuration::from_hours(24 * days));
    let said = [31, 29, 0, -1].map(before);
    let expected = [
        CertificateState::Valid,
        CertificateState::Expiring,
        CertificateState::Expiring,
        CertificateState::Expired,
    ];
    assert_eq!(said, expected);
}
