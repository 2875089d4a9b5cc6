//! Events: the log as `homelab events` prints it.

use std::io::Write;

use crate::desk::{Desk, FILTERS};

#[tokio::test]
async fn context_switches_are_listed_by_instance_and_time_and_a_torn_line_is_reported() {
    let desk = Desk::with_three();
    let nothing_yet = desk.homelab("events").await;
    desk.session(&["k8s use-context acme", "k8s use-context globex"]).await;
    let mut log = std::fs::OpenOptions::new().append(true).open(desk.home.events()).unwrap();
    log.write_all(b"{\"version\":1,\"at\":").unwrap();
    let told = desk
        .session(&["events", "events --instance globex --since 1h", "events --since 2100-01-01T00:00:00Z"])
        .await;
    insta::with_settings!({ filters => FILTERS }, { insta::assert_snapshot!(nothing_yet + "\n" + &told) });
    let json = desk.homelab("events --instance acme --format json").await;
    let line = json.lines().nth(1).unwrap();
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(line).unwrap()["event"],
        "KubeconfigContextSwitched"
    );
}
