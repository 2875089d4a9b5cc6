//! The verdict of the `openssl` program in strict mode: a second implementation, which most servers use.

use std::time::Duration;

use provisioner::exec::{Command, CommandError, Failure, Local, Output, Runner};

use super::*;
use crate::given::House;

/// `openssl verify` of a chain against one authority, without the host's authorities.
async fn verify(trusted: &str, chain: &[&str], checks: &[&str]) -> Result<Output, CommandError> {
    let house = House::new();
    let file = |name: &str, text: &str| {
        std::fs::write(house.path(name), text).unwrap();
        house.path(name)
    };
    let command = Command::within(Duration::from_secs(10), "openssl")
        .args(["verify", "-x509_strict", "-purpose", "sslserver", "-no-CApath", "-no-CAstore", "-CAfile"])
        .arg(file("ca.crt", trusted))
        .arg("-untrusted")
        .arg(file("chain.crt", &chain.concat()))
        .args(checks.iter().copied())
        .arg(file("leaf.crt", chain[0]));
    Local.run(&command).await
}

/// The reason in the error `error 47 at 0 depth lookup: permitted subtree violation`, without the position.
fn complaint(result: Result<Output, CommandError>) -> String {
    match result.unwrap_err().failure {
        Failure::Status { stderr, .. } => {
            let line = stderr.lines().find(|line| line.starts_with("error ")).unwrap();
            line.split_once("lookup: ").unwrap().1.to_owned()
        }
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn openssl_accepts_acmes_hosts_under_acmes_authority_and_no_others() {
    let (acme, globex) = (authority("acme"), authority("globex"));
    let acmes = leaf(&acme, "acme.lab", &["app.acme.lab", "*.acme.lab"]).certificate;
    let globexes = leaf(&globex, "globex.lab", &["app.globex.lab"]).certificate;
    for host in ["app.acme.lab", "any.acme.lab"] {
        verify(&acme.certificate, &[&acmes], &["-verify_hostname", host]).await.unwrap();
    }
    verify(&globex.certificate, &[&globexes], &["-verify_hostname", "app.globex.lab"]).await.unwrap();
    let check = ["-verify_hostname", "app.globex.lab"];
    let refused = complaint(verify(&acme.certificate, &[&globexes], &check).await);
    assert_eq!(refused, "unable to get local issuer certificate");
    let refused = complaint(verify(&acme.certificate, &[&acmes], &check).await);
    assert_eq!(refused, "hostname mismatch");
}

#[tokio::test]
async fn openssl_refuses_a_leaf_that_is_forged_with_acmes_key_because_of_the_constraint() {
    let acme = authority("acme");
    let without = unconstrained(&acme).certificate;
    let (permitted, excluded) = ("permitted subtree violation", "excluded subtree violation");
    let cases = [
        (vec![dns("x.globex.lab")], ["-verify_hostname", "x.globex.lab"], permitted),
        (vec![dns("notacme.lab")], ["-verify_hostname", "notacme.lab"], permitted),
        (vec![ip("192.168.60.10")], ["-verify_ip", "192.168.60.10"], excluded),
        (vec![ip("fd00::1")], ["-verify_ip", "fd00::1"], excluded),
        (vec![mail("ada@globex.lab")], ["-verify_email", "ada@globex.lab"], permitted),
        (vec![mail("ada@x.acme.lab")], ["-verify_email", "ada@x.acme.lab"], permitted),
    ];
    let control = forged(&acme, vec![dns("x.acme.lab")]).certificate;
    verify(&acme.certificate, &[&control], &["-verify_hostname", "x.acme.lab"]).await.unwrap();
    for (names, check, why) in cases {
        let shown = forged(&acme, names).certificate;
        assert_eq!(complaint(verify(&acme.certificate, &[&shown], &check).await), why, "{check:?}");
        // The control: without the constraint it is accepted.
        verify(&without, &[&shown], &check).await.unwrap();
    }
}

#[tokio::test]
async fn openssl_refuses_a_common_name_that_is_meant_to_be_a_host() {
    let acme = authority("acme");
    let shown = signed(params("x.globex.lab"), &acme.certificate, acme.key.reveal()).certificate;
    let check = ["-verify_hostname", "x.globex.lab"];
    let refused = complaint(verify(&acme.certificate, &[&shown], &check).await);
    assert_eq!(refused, "permitted subtree violation");
    verify(&unconstrained(&acme).certificate, &[&shown], &check).await.unwrap();
}

#[tokio::test]
async fn openssl_refuses_an_authority_below_acmes_because_of_the_path_length() {
    let acme = authority("acme");
    let below = forged_authority(&acme);
    let mut params = params("forged");
    params.subject_alt_names = vec![dns("x.acme.lab")];
    let shown = signed(params, &below.certificate, &below.key).certificate;
    let (chain, check) = ([shown.as_str(), &below.certificate], ["-verify_hostname", "x.acme.lab"]);
    let refused = complaint(verify(&acme.certificate, &chain, &check).await);
    assert_eq!(refused, "path length constraint exceeded");
    verify(&unconstrained(&acme).certificate, &chain, &check).await.unwrap();
}

#[tokio::test]
async fn openssl_refuses_acmes_authority_for_mail_and_for_clients() {
    let acme = authority("acme");
    let shown = forged(&acme, vec![dns("x.acme.lab"), mail("ada@acme.lab")]).certificate;
    let without = unconstrained(&acme).certificate;
    for purpose in ["smimesign", "sslclient"] {
        let refused = complaint(verify(&acme.certificate, &[&shown], &["-purpose", purpose]).await);
        assert!(refused.contains("purpose"), "{purpose}: {refused}");
        verify(&without, &[&shown], &["-purpose", purpose]).await.unwrap();
    }
    verify(&acme.certificate, &[&shown], &["-verify_hostname", "x.acme.lab"]).await.unwrap();
}
