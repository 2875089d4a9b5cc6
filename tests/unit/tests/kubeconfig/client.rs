//! API clients connect to our API servers directly, for any proxy in the environment or in the kubeconfig.

use std::time::Duration;

use provisioner::exec::{Command, Local, Runner};
use rstest::rstest;

use crate::given::House;
use crate::server::{Server, Shows};

const VERSION: &str = r#"{"major":"1","minor":"36","gitVersion":"v1.36.3","gitCommit":"c","gitTreeState":"clean",
    "buildDate":"d","goVersion":"g","compiler":"gc","platform":"linux/amd64"}"#;
/// A proxy address on which no process listens.
const NOWHERE: &str = "http://127.0.0.1:9";

#[rstest]
#[case::https("HTTPS_PROXY", NOWHERE)]
#[case::https_in_lower_case("https_proxy", NOWHERE)]
#[case::http("HTTP_PROXY", NOWHERE)]
#[case::all("ALL_PROXY", NOWHERE)]
#[case::all_in_lower_case("all_proxy", "socks5://127.0.0.1:9")]
#[case::no_address("HTTPS_PROXY", "not an address")]
#[case::no_proxy("NO_PROXY", "not,*,a list:")]
#[tokio::test]
async fn an_api_server_is_asked_directly_despite_a_proxy_of_the_caller(
    #[case] name: &str,
    #[case] value: &str,
) {
    let house = House::new();
    let server = Server::answering(Shows::Own, "200 OK", VERSION).await;
    assert_eq!(asked(&house, &server, "", &[("NO_PROXY", "*"), ("HTTPS_PROXY", NOWHERE)]).await, "v1.36.3\n");
    assert_eq!(asked(&house, &server, "", &[(name, value)]).await, "v1.36.3\n");
}

#[tokio::test]
async fn a_proxy_in_the_kubeconfig_is_not_asked_either() {
    let (house, server) = (House::new(), Server::answering(Shows::Own, "200 OK", VERSION).await);
    for proxy in [NOWHERE, "not an address"] {
        assert_eq!(asked(&house, &server, &format!(", proxy-url: '{proxy}'"), &[]).await, "v1.36.3\n");
    }
}

/// The server's version as a process with this environment reads it.
async fn asked(house: &House, server: &Server, more: &str, environment: &[(&str, &str)]) -> String {
    let path = server.kubeconfig(house, more);
    let asker = Command::within(Duration::from_secs(20), env!("CARGO_BIN_EXE_asker")).arg(path);
    let asker = environment.iter().fold(asker, |asker, (name, value)| asker.env(*name, *value));
    Local.run(&asker).await.unwrap().text()
}
