//! Only regular files are read and changed. All other files are refused with their path, and are not changed.

use provisioner::kubeconfig::KubeconfigError;
use provisioner::plan::InstanceId;
use provisioner::trust::{Family, Store};
use rstest::rstest;

use super::*;

const KINDS: [&str; 4] = ["folder", "named pipe", "socket", "character device"];

#[rstest]
#[case::of_the_user("kube/config")]
#[case::of_hosts("hosts")]
#[case::of_the_active_instance("home/active-context")]
#[tokio::test]
async fn a_path_that_is_no_regular_file_is_refused_before_anything_is_claimed(#[case] file: &str) {
    for kind in KINDS {
        let desk = Desk::new();
        let path = desk.house.path(file);
        desk.house.home.create_dir(path.parent().unwrap()).unwrap();
        put(kind, &path);
        let before = state(&path);
        let told = desk.refused().await;
        assert!(told.contains(&format!("read {path}: it is a {kind}, and only regular files")), "{told}");
        assert_eq!(state(&path), before, "{kind}");
    }
}

#[tokio::test]
async fn a_second_kubeconfig_that_is_a_pipe_is_refused_and_not_waited_for() {
    let desk = Desk::new();
    let pipe = desk.house.path("pipe");
    put("named pipe", &pipe);
    let desk = {
        let kubeconfig = desk.kubeconfig();
        desk.with_kubeconfigs(&[&kubeconfig, &pipe])
    };
    let told = desk.refused().await;
    assert!(told.contains(&format!("read {pipe}: it is a named pipe")), "{told}");
    assert!(told.ends_with("hint: set KUBECONFIG to another file"), "{told}");
    assert_eq!(std::fs::read_to_string(desk.kubeconfig()).unwrap(), FOREIGN);
    assert!(is_pipe(&pipe));
}

#[tokio::test]
async fn a_removed_file_that_is_still_open_is_no_kubeconfig() {
    let desk = Desk::new();
    let path = desk.house.path("removed");
    std::fs::write(&path, FOREIGN).unwrap();
    let open = std::fs::File::open(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let number = std::os::fd::AsRawFd::as_raw_fd(&open);
    let descriptor = Utf8PathBuf::from(format!("/proc/self/fd/{number}"));
    let desk = desk.with_kubeconfigs(&[&descriptor]);
    let told = desk.refused().await;
    assert!(told.contains("it leads to a removed file, which has no name any more"), "{told}");
    assert!(!path.exists());
}

#[rstest]
#[case::a_pipe("named pipe")]
#[case::a_folder("folder")]
#[tokio::test]
async fn a_drop_in_or_an_anchor_of_the_instances_name_that_is_no_file_is_refused(#[case] kind: &str) {
    let desk = Desk::new();
    let id = InstanceId { home: desk.house.home.id(), name: "acme".to_owned() };
    let folder = desk.house.path("folder");
    std::fs::create_dir(&folder).unwrap();
    let drop_in = folder.join(format!("{}.conf", id.scope()));
    put(kind, &drop_in);
    let desk = desk.with_dns(Dns::Dnsmasq { folder: folder.clone(), restart: None });
    let told = desk.refused().await;
    assert!(told.contains(&format!("read {drop_in}: it is a {kind}")), "{told}");

    let mut desk = desk.with_dns(Dns::None);
    let anchor = folder.join(format!("{}.crt", id.scope()));
    put(kind, &anchor);
    let words = vec!["true".to_owned()];
    let family = Family { anchors: folder, extension: "crt", added: words.clone(), removed: words };
    desk.provisioner = desk.provisioner.with_trust_store(Store::at(family));
    let told = desk.refused().await;
    assert!(told.contains(&format!("read {anchor}: it is a {kind}")), "{told}");
}

#[rstest]
#[case::of_the_user("kube/config")]
#[case::of_hosts("hosts")]
#[case::of_the_active_instance("home/active-context")]
#[tokio::test]
async fn a_teardown_skips_a_path_that_is_no_regular_file_and_leaves_it(#[case] file: &str) {
    for kind in KINDS {
        let desk = Desk::new();
        desk.up("acme").await.unwrap();
        let path = desk.house.path(file);
        put(kind, &path);
        let before = state(&path);
        desk.provisioner.destroy("acme").await.unwrap();
        desk.provisioner.destroy("nosuch").await.unwrap();
        assert_eq!(desk.provisioner.registry().list().unwrap(), []);
        assert_eq!(state(&path), before, "{kind}");
    }
}

#[tokio::test]
async fn choosing_a_context_refuses_a_path_that_is_no_regular_file_and_switches_nothing() {
    let desk = Desk::new();
    desk.up("acme").await.unwrap();
    let marker = desk.house.home.active_context();
    put("named pipe", &marker);
    let before = state(&desk.kubeconfig());
    let error = kubeconfig::use_context(&desk.house.home, "acme").unwrap_err();
    assert!(matches!(&error, KubeconfigError::File(error) if error.path == marker), "{error}");
    assert_eq!(state(&desk.kubeconfig()), before);
    put("socket", &desk.kubeconfig());
    for error in [
        kubeconfig::use_context(&desk.house.home, "acme").map(drop).unwrap_err(),
        kubeconfig::current(&desk.house.home).map(drop).unwrap_err(),
    ] {
        assert!(matches!(error, KubeconfigError::File(_)), "{error}");
    }
}

#[tokio::test]
async fn a_named_pipe_in_place_of_a_file_that_is_only_read_is_refused_and_not_waited_for() {
    let desk = Desk::new();
    desk.up("acme").await.unwrap();
    let home = &desk.house.home;
    for path in [home.settings(), home.registry(), home.events(), home.tls("acme").join("ca.crt")] {
        put("named pipe", &path);
    }
    let settings = Provisioner::new(home.clone()).map(drop).unwrap_err().to_string();
    assert_eq!(settings, format!("read {}", home.settings()));
    let registry = desk.provisioner.registry().list().map(drop).unwrap_err();
    assert!(chain(&registry).contains("it is a named pipe"), "{registry}");
    let events = provisioner::events::EventLog::in_home(home).reader().more().map(drop).unwrap_err();
    assert!(chain(&events).contains("it is a named pipe"), "{events}");
    desk.provisioner.destroy("acme").await.unwrap_err();
    for path in [home.settings(), home.registry(), home.events()] {
        assert!(is_pipe(&path), "{path}");
    }
}
