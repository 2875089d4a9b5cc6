//! The host's trust store: one file for each instance is added and removed, and all other files stay as they were.

mod flow;
mod system;

use std::os::unix::fs::PermissionsExt;

use camino::{Utf8Path, Utf8PathBuf};

use provisioner::error::Hint;
use provisioner::exec::{Exchange, Scripted};
use provisioner::plan::InstanceId;
use provisioner::trust::{Family, Store, TrustError};

use crate::given::House;

/// A host whose trust store is a temporary folder, with a scripted update program.
struct Host {
    house: House,
    anchors: Utf8PathBuf,
    store: Store,
}

impl Host {
    fn new() -> Self {
        let house = House::new();
        let anchors = house.path("anchors");
        std::fs::create_dir(&anchors).unwrap();
        let store = Store::at(family(&anchors, &["take-note"], &["take-note", "--gone"]));
        Self { house, anchors, store }
    }

    fn id(&self, name: &str) -> InstanceId {
        InstanceId { home: self.house.home.id(), name: name.to_owned() }
    }

    /// Names and contents of the files in the folder.
    fn files(&self) -> Vec<(String, String)> {
        let entries = self.anchors.read_dir_utf8().unwrap().map(Result::unwrap);
        let mut files: Vec<(String, String)> = entries
            .map(|entry| {
                let name = entry.file_name().replace(&self.house.home.id(), "[home]");
                (name, std::fs::read_to_string(entry.path()).unwrap())
            })
            .collect();
        files.sort();
        files
    }

    fn told(&self, error: &TrustError) -> String {
        let source = std::error::Error::source(error).map(|source| format!("\n{source}")).unwrap_or_default();
        let text = format!("{error}{source}\nhint: {}", error.hint().unwrap_or_default());
        let folder = self.anchors.parent().unwrap();
        text.replace(folder.as_str(), "[host]").replace(&self.house.home.id(), "[home]")
    }
}

fn family(anchors: &Utf8Path, added: &[&str], removed: &[&str]) -> Family {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    Family { anchors: anchors.to_owned(), extension: "crt", added: words(added), removed: words(removed) }
}

fn file(name: &str, text: &str) -> (String, String) {
    (name.to_owned(), text.to_owned())
}

#[test]
fn every_known_distribution_has_its_folder_and_its_programs() {
    let hosts = [
        "ID=debian\nNAME=\"Debian GNU/Linux\"",
        "NAME=Ubuntu\nID=ubuntu\nID_LIKE=debian",
        "ID=linuxmint\nID_LIKE=\"ubuntu debian\"",
        "ID=alpine",
        "ID=fedora",
        "ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"",
        "ID=arch",
        "ID='opensuse-leap'\nID_LIKE='suse opensuse'",
        "ID=sles",
        "ID=nixos",
        "ID_LIKE=debian",
        "",
    ];
    let lines = hosts.map(|os_release| match Family::of(os_release) {
        Some(Family { anchors, extension, added, removed }) => {
            format!("{os_release:?}: {anchors}/*.{extension}, {} / {}", added.join(" "), removed.join(" "))
        }
        None => format!("{os_release:?}: unknown"),
    });
    insta::assert_snapshot!(lines.join("\n"));
}

#[tokio::test]
async fn an_anchor_is_one_file_that_all_users_can_read_and_is_removed_alone() {
    let host = Host::new();
    std::fs::write(host.anchors.join("corp.crt"), "theirs").unwrap();
    let added = || Exchange::ok("take-note", "");
    let script = Scripted::new([added(), added(), Exchange::ok("take-note --gone", "")]);
    assert_eq!(host.store.trust(&script, &host.id("acme"), "ACME").await.unwrap(), None);
    assert_eq!(host.store.trust(&script, &host.id("acme-1"), "ACME-1").await.unwrap(), None);
    let (acme, other) =
        (file("homelab-[home].acme.crt", "ACME"), file("homelab-[home].acme-1.crt", "ACME-1"));
    let theirs = file("corp.crt", "theirs");
    assert_eq!(host.files(), [theirs.clone(), other.clone(), acme]);
    let path = host.anchors.join(format!("{}.crt", host.id("acme").scope()));
    assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o644);
    assert_eq!(host.store.untrust(&script, &host.id("acme")).await.unwrap().as_deref(), Some("ACME"));
    assert_eq!(host.files(), [theirs, other]);
}

#[tokio::test]
async fn an_authority_that_is_not_trusted_can_be_untrusted_without_a_program() {
    let host = Host::new();
    let script = Scripted::new([]);
    assert_eq!(host.store.untrust(&script, &host.id("acme")).await.unwrap(), None);
    std::fs::remove_dir(&host.anchors).unwrap();
    assert_eq!(host.store.untrust(&script, &host.id("acme")).await.unwrap(), None);
    assert_eq!(host.store.anchors(&host.house.home.id()).unwrap(), []);
}

#[tokio::test]
async fn a_failed_update_of_the_trust_store_leaves_the_anchors_as_before() {
    let host = Host::new();
    let failing = |command: &str| Scripted::new([Exchange::fails(command, 1, "no space left on device")]);
    let refused = host.store.trust(&failing("take-note"), &host.id("acme"), "ACME").await.unwrap_err();
    assert_eq!(host.files(), []);
    let script = Scripted::new([Exchange::ok("take-note", "")]);
    host.store.trust(&script, &host.id("acme"), "ACME").await.unwrap();
    host.store.trust(&failing("take-note"), &host.id("acme"), "NEW").await.unwrap_err();
    assert_eq!(host.files(), [file("homelab-[home].acme.crt", "ACME")]);
    host.store.untrust(&failing("take-note --gone"), &host.id("acme")).await.unwrap_err();
    assert_eq!(host.files(), [file("homelab-[home].acme.crt", "ACME")]);
    insta::assert_snapshot!(host.told(&refused));
}

#[tokio::test]
async fn a_missing_anchor_folder_is_an_error_with_the_missing_package() {
    let host = Host::new();
    std::fs::remove_dir(&host.anchors).unwrap();
    let error = host.store.trust(&Scripted::new([]), &host.id("acme"), "ACME").await.unwrap_err();
    insta::assert_snapshot!(host.told(&error), @"
    lock [host]/anchors
    No such file or directory (os error 2)
    hint: install the package ca-certificates, which makes this folder
    ");
}

#[tokio::test]
async fn the_anchors_of_a_home_are_found_and_nothing_else_is_taken_for_one() {
    let host = Host::new();
    let home = host.house.home.id();
    for name in ["acme.crt", "globex.crt", "a.b.crt", "..crt", "...crt", "acme.pem", "acme.crt.bak"] {
        std::fs::write(host.anchors.join(format!("homelab-{home}.{name}")), "").unwrap();
    }
    std::fs::write(host.anchors.join("homelab-000000.other.crt"), "").unwrap();
    std::fs::write(host.anchors.join("corp.crt"), "").unwrap();
    let names: Vec<String> =
        host.store.anchors(&home).unwrap().into_iter().map(|anchor| anchor.name).collect();
    assert_eq!(names, ["acme", "globex"]);
}

#[tokio::test]
async fn changes_wait_for_each_other() {
    let host = Host::new();
    let held = std::fs::File::open(&host.anchors).unwrap();
    held.lock().unwrap();
    let script = Scripted::new([Exchange::ok("take-note", "")]);
    let id = host.id("acme");
    let trust = host.store.trust(&script, &id, "ACME");
    let release = async {
        // The change has been polled once and waits for the lock, on another thread.
        tokio::task::yield_now().await;
        assert_eq!(host.files(), []);
        held.unlock().unwrap();
    };
    let (trusted, ()) = tokio::join!(biased; trust, release);
    trusted.unwrap();
    assert_eq!(host.files(), [file("homelab-[home].acme.crt", "ACME")]);
}
