//! Answers of an API server to the identity check, and the result of the check.

use provisioner::identity::{self, IdentityError};
use provisioner::kubeconfig;
use provisioner::registry::{Identity, Instance};
use rstest::rstest;

use crate::given::{House, instance};
use crate::server::{Server, Shows};

const UID: &str =
    r#"{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"kube-system","uid":"acme's"}}"#;
const STATUS: &str =
    r#"{"apiVersion":"v1","kind":"Status","status":"Failure","message":"m","reason":"REASON","code":CODE}"#;

fn status(code: u16, reason: &str) -> String {
    STATUS.replace("CODE", &code.to_string()).replace("REASON", reason)
}

/// acme, with a recorded identity at this server's address.
fn acme(server: &Server) -> Instance {
    let mut acme = instance("acme", &[]);
    let server = format!("https://{}", server.address);
    acme.k8s.identity =
        Some(Identity { server, authority: "acme's CA".to_owned(), uid: "acme's".to_owned() });
    acme
}

async fn asked(server: &Server) -> Result<(), IdentityError> {
    let client = kubeconfig::client(&server.kubeconfig(&House::new(), "")).await;
    identity::check_cluster(&acme(server), client.unwrap()).await
}

#[tokio::test]
async fn the_cluster_that_came_up_under_the_name_is_the_one() {
    asked(&Server::answering(Shows::Own, "200 OK", UID).await).await.unwrap();
}

#[rstest]
#[case::another_uid(Shows::Own, "200 OK", UID.replace("acme's", "globex's"), "UID of kube-system", "globex's")]
#[case::an_empty_cluster(
    Shows::Own,
    "404 Not Found",
    status(404, "NotFound"),
    "UID of kube-system",
    "missing"
)]
#[case::another_authority(Shows::Foreign, "200 OK", UID.to_owned(), "certificate authority", "another one")]
#[case::no_api_server(
    Shows::Nothing,
    "400 Bad Request",
    String::new(),
    "certificate authority",
    "none (the server does not use TLS)"
)]
#[tokio::test]
async fn a_server_that_is_another_one_is_a_mismatch(
    #[case] shows: Shows,
    #[case] line: &str,
    #[case] body: String,
    #[case] link: &str,
    #[case] instead: &str,
) {
    let server = Server::answering(shows, line, &body).await;
    match asked(&server).await {
        Err(IdentityError::Mismatch { what, found, .. }) => {
            assert_eq!((what, found.as_str()), (link, instead))
        }
        other => panic!("{other:?}"),
    }
}

#[rstest]
#[case::ill(Shows::Own, "500 Internal Server Error", status(500, "InternalError"))]
#[case::a_client_that_is_not_known_any_more(Shows::Own, "401 Unauthorized", status(401, "Unauthorized"))]
#[case::a_client_without_rights(Shows::Own, "403 Forbidden", status(403, "Forbidden"))]
#[case::a_certificate_that_has_ended(Shows::Expired, "200 OK", UID.to_owned())]
#[tokio::test]
async fn a_server_whose_identity_cannot_be_read_is_no_mismatch(
    #[case] shows: Shows,
    #[case] line: &str,
    #[case] body: String,
) {
    let server = Server::answering(shows, line, &body).await;
    assert!(matches!(asked(&server).await, Err(IdentityError::Unanswered { .. })));
}
