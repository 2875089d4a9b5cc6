//! The names for which certificates are issued: those below the suffix, in the form of DNS names.

use provisioner::error::Hint;
use provisioner::tls::{HostNames, TlsError};

#[test]
fn names_below_the_suffix_are_taken_in_lower_case_and_once() {
    let names = ["acme.lab", "api.acme.lab", "*.acme.lab", "*.a-1.b.ACME.lab", "acme.lab"];
    let taken = HostNames::parse("acme.lab", &names).unwrap();
    assert_eq!(taken.as_slice(), ["acme.lab", "api.acme.lab", "*.acme.lab", "*.a-1.b.acme.lab"]);
    assert_eq!(taken.first(), "acme.lab");
}

#[test]
fn all_other_names_are_refused_at_once_each_with_its_reason() {
    let long = format!("{}.acme.lab", vec!["a".repeat(60); 5].join("."));
    let names = [
        "x.globex.lab",
        "notacme.lab",
        "acme.lab.example.com",
        "lab",
        "*.lab",
        "*",
        "*.*.acme.lab",
        "a*.acme.lab",
        "a.*.acme.lab",
        "192.168.60.10",
        "fd00::1",
        "ada@acme.lab",
        "https://app.acme.lab",
        "app.acme.lab:443",
        "a_b.acme.lab",
        "-a.acme.lab",
        ".acme.lab",
        "app.acme.lab.",
        "app..acme.lab",
        "äpp.acme.lab",
        "../acme.lab",
        "",
        &long,
    ];
    let good = ["app.acme.lab"];
    let all: Vec<&str> = good.iter().chain(&names).copied().collect();
    let error = HostNames::parse("acme.lab", &all).unwrap_err();
    let TlsError::Refused { names: refused, .. } = &error else { panic!("{error}") };
    assert_eq!(refused.len(), names.len());
    insta::assert_snapshot!(format!("{error}\nhint: {}", error.hint().unwrap()));
}

#[test]
fn a_certificate_without_a_name_is_refused() {
    let error = HostNames::parse::<&str>("acme.lab", &[]).unwrap_err();
    insta::assert_snapshot!(error, @"
    the authority of acme.lab cannot sign certificates for:
    '' is empty: at least one name is needed
    ");
}
