//! DNS names on the host: recorded, listed, refused and removed, in a hosts file of the test.

use crate::desk::{Desk, FILTERS};

#[tokio::test]
async fn names_are_listed_recorded_and_removed_and_foreign_lines_stay() {
    let desk = Desk::with_three();
    let hosts = desk.path("hosts");
    let before = "127.0.0.1 localhost\n10.9.8.7 api.globex.lab\n";
    std::fs::write(&hosts, before).unwrap();
    desk.settings(&format!("dns: {{ hostsFile: {hosts}, labels: [grafana] }}"));
    let mut session = desk.session(&["dns list", "dns sync", "dns list"]).await;
    session.push_str(&std::fs::read_to_string(&hosts).unwrap());
    session.push_str(&desk.session(&["dns remove acme", "dns remove acme", "dns remove personal"]).await);
    insta::with_settings!({ filters => FILTERS }, { insta::assert_snapshot!(session) });
    assert_eq!(std::fs::read_to_string(&hosts).unwrap(), before);
}

#[tokio::test]
async fn dnsmasq_gets_a_drop_in_for_each_instance_and_is_restarted_as_configured() {
    let desk = Desk::with_three();
    let folder = desk.path("dnsmasq.d");
    std::fs::create_dir(&folder).unwrap();
    desk.settings(&format!("dns: {{ provider: dnsmasq, dnsmasqFolder: {folder}, restart: [\"true\"] }}"));
    let session = desk.session(&["dns sync", "dns sync", "dns list --format json", "dns remove acme"]).await;
    insta::with_settings!({ filters => FILTERS }, { insta::assert_snapshot!(session) });
    desk.settings(&format!("dns: {{ provider: dnsmasq, dnsmasqFolder: {folder}, restart: [\"false\"] }}"));
    let failed = desk.homelab("dns sync").await;
    insta::with_settings!({ filters => FILTERS }, { insta::assert_snapshot!(failed) });
}
