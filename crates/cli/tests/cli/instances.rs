//! Instances, as the registry has them.

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
async fn a_host_without_instances_says_how_to_make_one() {
    insta::assert_snapshot!(Desk::empty().session(&["instance list", "k8s current"]).await);
}

#[tokio::test]
async fn what_rests_is_listed_and_shown_as_such_and_any_user_may_look_at_it() {
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
