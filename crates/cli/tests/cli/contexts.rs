//! Contexts: switch, show the current one, and report swapped files.

use crate::desk::{Desk, FILTERS};

#[tokio::test]
async fn switching_prints_three_lines_and_current_agrees() {
    let desk = Desk::with_three();
    let session = desk
        .session(&[
            "k8s current",
            "k8s use-context acme",
            "k8s current",
            "k8s use-context globex",
            "k8s current",
            "k8s kubeconfig acme --path",
        ])
        .await;
    insta::with_settings!({ filters => FILTERS }, { insta::assert_snapshot!(session) });
    assert_eq!(std::fs::read_to_string(desk.home.active_context()).unwrap(), "globex");
}

#[tokio::test]
async fn a_marker_and_a_kubeconfig_that_disagree_are_reported() {
    let desk = Desk::with_three();
    desk.homelab("k8s use-context acme").await;
    let merged = desk.home.merged_kubeconfig();
    let text = std::fs::read_to_string(merged).unwrap();
    std::fs::write(merged, text.replace("current-context: acme", "current-context: globex")).unwrap();
    insta::assert_snapshot!(desk.homelab("k8s current").await);
}

#[tokio::test]
async fn swapped_kubeconfigs_and_altered_contexts_are_refused_with_both_values() {
    let desk = Desk::with_three();
    let (acme, globex) = (desk.home.isolated_kubeconfig("acme"), desk.home.isolated_kubeconfig("globex"));
    std::fs::rename(&acme, desk.path("kept")).unwrap();
    std::fs::rename(&globex, &acme).unwrap();
    std::fs::rename(desk.path("kept"), &globex).unwrap();
    let merged = desk.home.merged_kubeconfig();
    let text = std::fs::read_to_string(merged).unwrap();
    std::fs::write(merged, text.replace("https://192.168.62.10", "https://192.168.60.10")).unwrap();
    let session = desk
        .session(&["kubectl acme -- get nodes", "k8s use-context personal", "k8s use-context acme"])
        .await;
    insta::assert_snapshot!(session);
}
