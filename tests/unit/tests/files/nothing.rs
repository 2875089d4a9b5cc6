//! An operation without changes writes nothing: files and folders keep their inode and modification time.

use provisioner::Change;

use super::*;

#[tokio::test]
async fn taking_down_an_unknown_instance_touches_no_file_and_no_folder() {
    let desk = Desk::new();
    let watched = [desk.kubeconfig(), desk.house.path("kube"), desk.hosts(), desk.house.path("")];
    let marker = desk.house.home.active_context();
    desk.house.home.create_dir(desk.house.home.root()).unwrap();
    std::fs::write(&marker, "globex").unwrap();
    let before = watched.each_ref().map(|path| state(path));
    let marked = state(&marker);
    assert_eq!(desk.provisioner.destroy("nosuch").await.unwrap(), []);
    assert_eq!(watched.each_ref().map(|path| state(path)), before);
    assert_eq!(state(&marker), marked);
}

#[tokio::test]
async fn taking_down_an_unknown_instance_creates_no_kubeconfig_and_leaves_an_empty_one() {
    let desk = Desk::new();
    std::fs::write(desk.kubeconfig(), "").unwrap();
    let before = state(&desk.kubeconfig());
    desk.provisioner.destroy("nosuch").await.unwrap();
    assert_eq!(state(&desk.kubeconfig()), before);
    let missing = desk.house.path("nowhere/config");
    let desk = desk.with_kubeconfigs(&[&missing]);
    desk.provisioner.destroy("nosuch").await.unwrap();
    assert!(!desk.house.path("nowhere").exists());
}

#[tokio::test]
async fn choosing_the_present_context_again_writes_neither_kubeconfig_nor_marker() {
    let desk = Desk::new();
    desk.up("acme").await.unwrap();
    let home = &desk.house.home;
    kubeconfig::use_context(home, "acme").unwrap();
    let watched = [desk.kubeconfig(), desk.house.path("kube"), home.active_context(), home.root().to_owned()];
    let before = watched.each_ref().map(|path| state(path));
    assert_eq!(kubeconfig::use_context(home, "acme").unwrap(), ["work", "acme"]);
    assert_eq!(watched.each_ref().map(|path| state(path)), before);
}

#[tokio::test]
async fn a_sync_of_names_that_are_recorded_writes_nothing() {
    for dnsmasq in [false, true] {
        let desk = Desk::new();
        let folder = desk.house.path("dnsmasq.d");
        std::fs::create_dir(&folder).unwrap();
        let desk = match dnsmasq {
            true => desk.with_dns(Dns::Dnsmasq { folder: folder.clone(), restart: None }),
            false => desk,
        };
        desk.up("acme").await.unwrap();
        let watched = [desk.hosts(), desk.house.path(""), folder];
        let before = watched.each_ref().map(|path| state(path));
        let synced = desk.provisioner.dns_sync().await.unwrap();
        assert!(matches!(synced.changes[0].outcome, Ok(Change::Unchanged)));
        assert_eq!(watched.each_ref().map(|path| state(path)), before);
    }
}

#[tokio::test]
async fn a_fixtures_cluster_ignores_unusable_kubeconfigs_locks_and_hosts_files() {
    let desk = Desk::new();
    std::fs::write(desk.kubeconfig(), "contexts: [").unwrap();
    std::fs::write(desk.lock(), "").unwrap();
    put("named pipe", &desk.hosts());
    let before = [state(&desk.kubeconfig()), state(&desk.house.path("kube")), state(&desk.hosts())];
    let spec = ClusterSpec::new("acme").workers(0).engine(EngineKind::Simulated).throw_away();
    desk.provisioner.create(&spec.check().unwrap(), Keeper::Operator).await.unwrap();
    desk.provisioner.destroy("acme").await.unwrap();
    assert_eq!([state(&desk.kubeconfig()), state(&desk.house.path("kube")), state(&desk.hosts())], before);
    assert_eq!(desk.provisioner.registry().list().unwrap(), []);
}
