//! The audit: refusals before anything is deployed into a cluster.

use provisioner::registry::{Instance, Registry, State};

use crate::desk::Desk;

#[tokio::test]
async fn wrong_names_and_selections_without_a_cell_are_refused_with_a_hint() {
    let session = Desk::with_three()
        .session(&[
            "audit acme globex acme",
            "audit acme initech",
            "audit acme globex --from initech",
            "audit acme globex --to personal",
            "audit acme --class N1,N3",
            "audit acme globex --class N1 --to host",
            "audit acme globex --class T2",
        ])
        .await;
    insta::assert_snapshot!(session);
}

#[tokio::test]
async fn instances_that_do_not_run_are_refused_with_their_state() {
    let desk = Desk::with_three();
    let nothing = Desk::empty().homelab("audit").await;
    let registry = Registry::in_home(&desk.home);
    for (name, state) in
        [("acme", State::Failed), ("globex", State::Creating), ("personal", State::Destroying)]
    {
        registry.update(name, |instance: &mut Instance| instance.state = state).unwrap();
    }
    let session = desk.session(&["audit globex acme", "audit"]).await;
    insta::assert_snapshot!(nothing + "\n" + &session);
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_is_refused_and_nothing_is_created() {
    let desk = Desk::with_three();
    std::fs::write(desk.path("file"), "mine").unwrap();
    std::fs::create_dir_all(desk.path("taken/audit.html")).unwrap();
    let mut session = String::new();
    for folder in ["file", "file/reports", "taken"] {
        session.push_str(&desk.homelab(&format!("audit acme globex --out {}", desk.path(folder))).await);
        session.push('\n');
    }
    session.push_str(&desk.homelab("audit acme globex --out /proc/self/reports").await);
    insta::assert_snapshot!(session);
    assert_eq!(std::fs::read_to_string(desk.path("file")).unwrap(), "mine");
    assert_eq!(std::fs::read_dir(desk.path("taken")).unwrap().count(), 1);
}
