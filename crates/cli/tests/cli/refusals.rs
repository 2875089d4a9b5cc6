//! Refusals before anything is done, and their hints.

use crate::desk::Desk;

#[tokio::test]
async fn wrong_specs_and_unknown_names_are_refused_with_all_problems() {
    let desk = Desk::with_three();
    let session = desk
        .session(&[
            "up Acme --subnet 192.168.60.7/24 --topology k8s-single --workers 2 --kubernetes v1.2.3",
            "up acme --topology k8s-huge",
            "up initech --provider libvirt --cpus 4",
            "up initech --engine container --memory 4096",
            "up initech --engine vagrant --cpus 1 --memory 512",
            "pause initech",
            "start ../etc",
            "status initech",
            "k8s add-worker initech",
            "k8s add-worker acme --count 0",
            "k8s remove-worker initech initech-w-1",
            "k8s remove-worker acme acme-w-1 --force --timeout 9",
            "k8s use-context initech",
            "k8s kubeconfig initech",
            "kubectl initech -- get nodes",
            "events --since yesterday",
            "frobnicate",
        ])
        .await;
    insta::assert_snapshot!(session);
}

#[tokio::test]
async fn settings_that_cannot_be_used_stop_every_verb_with_all_their_problems() {
    let desk = Desk::with_three();
    desk.settings("pools: { subnet: { block: 33 } }\ndns: { provider: bind }\ncolour: blue\n");
    let problems = desk.session(&["instance list", "dns list"]).await;
    desk.settings("pools: [");
    insta::assert_snapshot!(problems + &desk.homelab("instance list").await);
}

#[tokio::test]
async fn a_kubeconfig_that_is_locked_or_no_file_is_refused_and_left_alone() {
    let desk = Desk::with_three();
    let merged = desk.home.merged_kubeconfig();
    let lock = format!("{merged}.lock");
    std::fs::write(&lock, "").unwrap();
    let locked = desk.homelab("k8s use-context acme").await;
    assert!(locked.contains("~/lab/kubeconfig.lock still exists after 5s, created by "), "{locked}");
    let end = "hint: if no kubectl is running, a killed one has left the lock: `rm ~/lab/kubeconfig.lock`\n(exit 4)\n";
    assert!(locked.ends_with(end), "{locked}");
    std::fs::remove_file(&lock).unwrap();
    std::fs::remove_file(merged).unwrap();
    std::fs::create_dir(merged).unwrap();
    insta::assert_snapshot!(desk.session(&["k8s use-context acme", "k8s current"]).await);
    assert!(merged.is_dir());
}

#[tokio::test]
async fn damaged_files_are_refused_with_their_path_and_left_alone() {
    let desk = Desk::with_three();
    std::fs::write(desk.home.merged_kubeconfig(), "contexts: [").unwrap();
    let contexts = desk.session(&["k8s use-context acme", "k8s current"]).await;
    std::fs::write(desk.home.registry(), "{\"instances\": [").unwrap();
    let registry = desk.session(&["instance list", "k8s use-context acme"]).await;
    std::fs::write(desk.home.registry(), r#"{"version": 99, "instances": []}"#).unwrap();
    let newer = desk.homelab("instance list").await;
    insta::assert_snapshot!(contexts + &registry + &newer);
    assert_eq!(std::fs::read_to_string(desk.home.merged_kubeconfig()).unwrap(), "contexts: [");
}
