//! Instances as the registry records them.

use provisioner::registry::{Registry, State};

use crate::desk::{Desk, FILTERS};

#[tokio::test]
async fn instances_are_listed_for_people_and_for_programs() {
    let session = Desk::with_three().session(&["instance list", "instance list --format json"]).await;
    insta::with_settings!({ filters => FILTERS }, { insta::assert_snapshot!(session) });
}

#[tokio::test]
async fn an_instance_is_shown_with_all_that_the_registry_knows() {
    let desk = Desk::with_three();
    let session = desk
        .session(&["instance show acme", "instance show acme --format json", "instance show nobody"])
        .await;
    insta::with_settings!({ filters => FILTERS }, { insta::assert_snapshot!(session) });
}

#[tokio::test]
async fn a_host_without_instances_says_how_to_create_one() {
    insta::assert_snapshot!(Desk::empty().session(&["instance list", "k8s current"]).await);
}

#[tokio::test]
async fn paused_and_halted_instances_are_shown_as_such_and_their_status_is_no_error() {
    let desk = Desk::with_three();
    let registry = Registry::in_home(&desk.home);
    for (name, state) in [("acme", State::Paused), ("globex", State::Halted)] {
        registry.update(name, |instance| instance.state = state).unwrap();
    }
    let listed = desk.session(&["instance list", "instance show globex"]).await;
    insta::with_settings!({ filters => FILTERS }, { insta::assert_snapshot!(listed) });
    for name in ["acme", "globex"] {
        let said = desk.homelab(&format!("status {name}")).await;
        assert!(said.contains("(exit 0)"), "{said}");
    }
}

#[tokio::test]
async fn an_instance_of_an_earlier_boot_is_off_and_one_without_a_recorded_boot_is_shown_as_recorded() {
    let desk = Desk::with_three();
    let registry = Registry::in_home(&desk.home);
    let this_boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap().trim().to_owned();
    let boots = [
        ("acme", State::Running, Some("00000000-0000-0000-0000-000000000000".to_owned())),
        ("globex", State::Running, Some(this_boot)),
        ("personal", State::Running, None),
    ];
    for (name, state, boot) in boots {
        let change = |instance: &mut provisioner::registry::Instance| {
            (instance.state, instance.boot_id) = (state, boot);
        };
        registry.update(name, change).unwrap();
    }
    let listed = desk.session(&["instance list", "instance show acme"]).await;
    insta::with_settings!({ filters => FILTERS }, { insta::assert_snapshot!(listed) });
    let said = desk.homelab("status acme").await;
    assert!(said.contains("`sudo homelab start acme` starts it with its data"), "{said}");
    // A boot ends a pause, and a halted or failed instance stays halted or failed.
    for (state, status) in [(State::Paused, "off"), (State::Halted, "halted"), (State::Failed, "failed")] {
        registry.update("acme", |instance| instance.state = state).unwrap();
        let listed = desk.homelab("instance list --format json").await;
        assert!(listed.contains(&format!("\"status\": \"{status}\"")), "{listed}");
    }
}
