//! Files that cannot be used: `up` finds them before the claim, a cluster that has come up stays, and `down` removes
//! all else.

use std::os::unix::fs::PermissionsExt;

use provisioner::Removed;
use provisioner::events::Event;
use provisioner::registry::State;
use rstest::rstest;

use super::*;

/// A file system in which no user can make a file, not even root.
const SYS: &str = "/sys";

#[rstest]
#[case::torn("contexts: [", "is not a valid kubeconfig; the file was not changed")]
#[case::a_list("- a\n", "it is not a YAML mapping")]
#[case::of_lists_that_are_none("clusters: 7\n", "its clusters are not a list")]
#[case::twice("a: 1\n---\nb: 2\n", "is not a valid kubeconfig; the file was not changed")]
#[case::that_cannot_be_edited("{users: [{name: ada, user: {password: 1e3}}]}\n", "it is not in block style")]
#[tokio::test]
async fn an_invalid_kubeconfig_is_refused_before_the_claim(#[case] text: &str, #[case] why: &str) {
    let desk = Desk::new();
    std::fs::write(desk.kubeconfig(), text).unwrap();
    let told = desk.refused().await;
    assert!(told.contains(why) && told.contains(desk.kubeconfig().as_str()), "{told}");
    assert!(told.ends_with("hint: correct it, or set KUBECONFIG to another file"), "{told}");
    assert_eq!(std::fs::read_to_string(desk.kubeconfig()).unwrap(), text);
}

#[tokio::test]
async fn a_kubeconfig_that_is_no_text_is_refused_and_not_quoted() {
    let desk = Desk::new();
    std::fs::write(desk.kubeconfig(), b"users: SECRET\xff\n").unwrap();
    let told = desk.refused().await;
    assert!(told.contains("utf-8") && !told.contains("SECRET"), "{told}");
}

#[rstest]
#[case::folder("/sys/config", "/sys")]
#[case::missing_folder("/sys/missing/kube/config", "/sys")]
#[tokio::test]
async fn a_kubeconfig_that_cannot_be_created_is_refused_before_the_claim(
    #[case] path: &str,
    #[case] named: &str,
) {
    let desk = Desk::new().with_kubeconfigs(&[path.into()]);
    let told = desk.refused().await;
    assert!(told.contains(named), "{told}");
    assert!(told.ends_with("set KUBECONFIG to another file"), "{told}");
}

#[tokio::test]
async fn a_kubeconfig_below_a_file_is_refused_before_the_claim() {
    let desk = Desk::new();
    let below = desk.hosts().join("config");
    let desk = desk.with_kubeconfigs(&[&below]);
    let told = desk.refused().await;
    assert!(told.contains(below.as_str()), "{told}");
}

#[tokio::test]
async fn an_unwritable_place_for_dns_names_is_refused_before_the_claim() {
    for dns in [
        Dns::Hosts { file: "/sys/hosts".into(), labels: Vec::new() },
        Dns::Dnsmasq { folder: SYS.into(), restart: None },
        Dns::Dnsmasq { folder: "/nowhere/dnsmasq.d".into(), restart: None },
    ] {
        let place = dns.place().unwrap().to_owned();
        let desk = Desk::new().with_dns(dns);
        let told = desk.refused().await;
        let named = if place.starts_with(SYS) { SYS } else { place.as_str() };
        assert!(told.contains(named), "{told}");
        assert!(!told.ends_with("hint: "), "{told}");
    }
}

#[tokio::test]
async fn a_foreign_entry_of_that_name_is_refused_before_the_claim() {
    let desk = Desk::new();
    let theirs = "users:\n- name: acme\n  user: {token: t}\n";
    std::fs::write(desk.kubeconfig(), theirs).unwrap();
    let told = desk.refused().await;
    assert!(
        told.contains(&format!("user 'acme' in {} does not belong to this homelab", desk.kubeconfig())),
        "{told}"
    );
    assert_eq!(std::fs::read_to_string(desk.kubeconfig()).unwrap(), theirs);
}

/// A desk whose kubeconfig becomes unusable when the names are recorded, which is after the claim.
fn breaking(script: &str) -> Desk {
    let desk = Desk::new();
    let folder = desk.house.path("dnsmasq.d");
    std::fs::create_dir(&folder).unwrap();
    let script = script.replace("CONFIG", desk.kubeconfig().as_str());
    let restart = ["sh", "-c", &script].map(str::to_owned).to_vec();
    desk.with_dns(Dns::Dnsmasq { folder, restart: Some(restart) })
}

#[rstest]
#[case::a_lock("test -e CONFIG.once || touch CONFIG.lock CONFIG.once", "config.lock still exists after")]
#[case::damage(
    "test -e CONFIG.once || printf 'contexts: [' > CONFIG; touch CONFIG.once",
    "is not a valid kubeconfig"
)]
#[case::a_pipe("rm CONFIG && mkfifo CONFIG", "it is a named pipe")]
#[tokio::test]
async fn a_cluster_that_came_up_stays_when_its_context_cannot_be_merged(
    #[case] script: &str,
    #[case] why: &str,
) {
    let desk = breaking(script);
    let mut events = desk.provisioner.events().subscribe();
    let cluster = desk.up("acme").await.unwrap();
    let error = cluster.unmerged.expect("the reason");
    assert!(chain(error.as_ref()).contains(why), "{error}");
    assert_eq!(cluster.instance.state, State::Running);
    assert!(cluster.instance.k8s.identity.is_some());
    assert!(std::fs::read_to_string(&cluster.kubeconfig).unwrap().contains("name: acme"));
    let told = std::iter::from_fn(|| events.try_recv().ok());
    assert!(
        told.into_iter()
            .any(|event| matches!(event, Event::KubeconfigNotMerged { instance, .. } if instance == "acme"))
    );

    // The command in the hint works when the file can be used again.
    let _ = std::fs::remove_file(desk.lock());
    std::fs::remove_file(desk.kubeconfig()).unwrap();
    std::fs::write(desk.kubeconfig(), FOREIGN).unwrap();
    desk.provisioner.renew_kubeconfig("acme").await.unwrap();
    assert_eq!(kubeconfig::use_context(&desk.house.home, "acme").unwrap(), ["work", "acme"]);
}

#[test]
fn the_hint_on_a_context_that_is_missing_says_how_to_merge_it() {
    let desk = Desk::new();
    let error = kubeconfig::use_context(&desk.house.home, "acme").unwrap_err();
    let expected = "`sudo homelab k8s kubeconfig acme --renew --path` adds the context to your kubeconfig";
    assert_eq!(error.hint().as_deref(), Some(expected));
}

#[tokio::test]
async fn a_teardown_continues_without_a_damaged_kubeconfig_and_reports_leftovers() {
    let desk = Desk::new();
    desk.up("acme").await.unwrap();
    let whole = std::fs::read_to_string(desk.kubeconfig()).unwrap();
    std::fs::write(desk.kubeconfig(), format!("{whole}contexts: [")).unwrap();
    let error = desk.provisioner.destroy("acme").await.unwrap_err();
    assert!(error.to_string().contains(desk.kubeconfig().as_str()), "{error}");
    assert!(error.removed.contains(&Removed::Nodes) && error.removed.contains(&Removed::Names));
    let hint = error.hint().unwrap();
    assert!(
        hint.starts_with(
            "its nodes are removed, but its context in the kubeconfig and its registry entry are not: "
        ),
        "{hint}"
    );
    assert!(hint.contains("set KUBECONFIG to another file; then `sudo homelab down acme`"), "{hint}");
    assert!(!desk.house.home.instance("acme").exists());
    let entry = desk.provisioner.registry().find("acme").unwrap().unwrap();
    assert_eq!(entry.state, State::Destroying);
    std::fs::write(desk.kubeconfig(), whole).unwrap();
    let removed = desk.provisioner.destroy("acme").await.unwrap();
    assert_eq!(removed, [Removed::Context, Removed::Entry]);
    desk.assert_gone();
}

#[tokio::test]
async fn a_teardown_is_finished_with_another_kubeconfig_as_its_hint_says() {
    let desk = Desk::new();
    desk.up("acme").await.unwrap();
    let mut text = std::fs::read_to_string(desk.kubeconfig()).unwrap();
    text.push_str("contexts: [");
    std::fs::write(desk.kubeconfig(), &text).unwrap();
    desk.provisioner.destroy("acme").await.unwrap_err();
    let (damaged, other) = (desk.kubeconfig(), desk.house.path("other"));
    let desk = desk.with_kubeconfigs(&[&other]);
    assert_eq!(desk.provisioner.destroy("acme").await.unwrap(), [Removed::Entry]);
    assert_eq!(std::fs::read_to_string(damaged).unwrap(), text);
    assert!(!other.exists());
}

#[tokio::test]
async fn a_damaged_kubeconfig_without_the_context_does_not_stop_a_teardown() {
    let desk = Desk::new();
    desk.up("acme").await.unwrap();
    for text in ["contexts: [", "\u{0}\u{1}"] {
        std::fs::write(desk.kubeconfig(), text).unwrap();
        desk.provisioner.destroy("acme").await.unwrap();
        assert_eq!(std::fs::read_to_string(desk.kubeconfig()).unwrap(), text);
    }
    desk.assert_gone();
}

#[tokio::test]
async fn a_torn_block_in_the_hosts_file_does_not_stop_the_rest_of_a_teardown() {
    let desk = Desk::new();
    desk.up("acme").await.unwrap();
    let whole = std::fs::read_to_string(desk.hosts()).unwrap();
    let end = whole.find("# END").unwrap();
    std::fs::write(desk.hosts(), &whole[..end]).unwrap();
    let error = desk.provisioner.destroy("acme").await.unwrap_err();
    let hint = error.hint().unwrap();
    assert!(hint.contains("its names on this host"), "{hint}");
    assert!(error.removed.contains(&Removed::Context) && error.removed.contains(&Removed::Nodes));
    std::fs::write(desk.hosts(), whole).unwrap();
    assert_eq!(desk.provisioner.destroy("acme").await.unwrap(), [Removed::Names, Removed::Entry]);
    desk.assert_gone();
}

#[tokio::test]
async fn checks_change_no_file_and_leave_none_behind() {
    let desk = Desk::new();
    std::fs::set_permissions(desk.kubeconfig(), PermissionsExt::from_mode(0o640)).unwrap();
    let before = [state(&desk.kubeconfig()), state(&desk.hosts())];
    kubeconfig::check(&desk.house.home, "acme").unwrap();
    desk.provisioner
        .dns()
        .check(&provisioner::plan::InstanceId { home: desk.house.home.id(), name: "acme".into() })
        .unwrap();
    assert_eq!([state(&desk.kubeconfig()), state(&desk.hosts())], before);
    let names = |path: &Utf8Path| path.read_dir_utf8().unwrap().count();
    assert_eq!((names(&desk.house.path("kube")), names(&desk.house.path(""))), (1, 2));
}
