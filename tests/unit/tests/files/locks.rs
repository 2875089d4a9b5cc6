//! A lock file of kubectl that another process has left: the error names its owner, and commands that change no
//! kubeconfig ignore the lock.

use provisioner::Removed;
use provisioner::kubeconfig::KubeconfigError;
use rstest::rstest;

use super::*;

#[rstest]
#[case::kubectls("empty")]
#[case::of_another_program("filled")]
#[case::a_pipe("named pipe")]
#[case::a_folder("folder")]
#[case::a_dangling_link("link")]
#[tokio::test]
async fn a_leftover_lock_is_reported_before_the_claim_and_stays(#[case] kind: &str) {
    let desk = Desk::new();
    let lock = desk.lock();
    match kind {
        "empty" => std::fs::write(&lock, "").unwrap(),
        "filled" => std::fs::write(&lock, b"pid 4711\xff\n").unwrap(),
        "link" => symlink("nowhere", &lock).unwrap(),
        kind => put(kind, &lock),
    }
    let told = desk.refused().await;
    let user = std::fs::symlink_metadata(&lock).unwrap().uid();
    assert!(told.contains(&format!("{lock} still exists after 5s, created by ")), "user {user}: {told}");
    assert!(
        told.ends_with(&format!(
            "hint: if no kubectl is running, a killed one has left the lock: `rm {lock}`"
        ))
    );
    assert!(lock.symlink_metadata().is_ok());
    assert_eq!(std::fs::read_to_string(desk.kubeconfig()).unwrap(), FOREIGN);
}

#[tokio::test]
async fn a_lock_of_a_dead_homelab_is_swept_before_the_claim() {
    let desk = Desk::new();
    std::fs::write(desk.lock(), "homelab\n").unwrap();
    desk.up("acme").await.unwrap();
    assert!(!desk.lock().exists());
}

#[tokio::test]
async fn with_a_locked_kubeconfig_a_teardown_leaves_only_the_context_and_the_entry() {
    let desk = Desk::new();
    desk.up("acme").await.unwrap();
    std::fs::write(desk.lock(), "").unwrap();
    let error = desk.provisioner.destroy("acme").await.unwrap_err();
    assert!(error.to_string().contains(desk.lock().as_str()), "{error}");
    let hint = error.hint().unwrap();
    assert!(hint.contains(&format!("`rm {}`; then `sudo homelab down acme`", desk.lock())), "{hint}");
    assert!(error.removed.contains(&Removed::Nodes) && error.removed.contains(&Removed::Folder));
    std::fs::remove_file(desk.lock()).unwrap();
    assert_eq!(desk.provisioner.destroy("acme").await.unwrap(), [Removed::Context, Removed::Entry]);
    desk.assert_gone();
}

#[tokio::test]
async fn a_lock_does_not_stop_commands_that_change_nothing() {
    let desk = Desk::new();
    desk.up("acme").await.unwrap();
    kubeconfig::use_context(&desk.house.home, "acme").unwrap();
    std::fs::write(desk.lock(), "").unwrap();
    let before = state(&desk.kubeconfig());
    assert_eq!(desk.provisioner.destroy("nosuch").await.unwrap(), []);
    kubeconfig::use_context(&desk.house.home, "acme").unwrap();
    assert_eq!(state(&desk.kubeconfig()), before);
}

#[tokio::test]
async fn a_lock_stops_a_context_switch_and_neither_file_is_changed() {
    let desk = Desk::new();
    for name in ["acme", "globex"] {
        desk.up(name).await.unwrap();
    }
    kubeconfig::use_context(&desk.house.home, "acme").unwrap();
    std::fs::write(desk.lock(), "").unwrap();
    let files = [desk.kubeconfig(), desk.house.home.active_context()];
    let before = files.each_ref().map(|path| state(path));
    let error = kubeconfig::use_context(&desk.house.home, "globex").unwrap_err();
    assert!(matches!(error, KubeconfigError::Locked { .. }), "{error}");
    assert_eq!(files.each_ref().map(|path| state(path)), before);
}

#[tokio::test]
async fn a_locked_second_kubeconfig_does_not_stop_changes_of_the_first() {
    let desk = Desk::new();
    let shared = desk.house.path("shared");
    std::fs::write(&shared, "contexts:\n- name: shared\n  context: {cluster: shared}\n").unwrap();
    std::fs::write(desk.house.path("shared.lock"), "").unwrap();
    let first = desk.kubeconfig();
    let desk = desk.with_kubeconfigs(&[&first, &shared]);
    let before = state(&shared);
    desk.up("acme").await.unwrap();
    desk.provisioner.destroy("acme").await.unwrap();
    assert_eq!(state(&shared), before);
    desk.assert_gone();
}
