//! The drop-ins for dnsmasq. The e2e tests show that a real dnsmasq understands them.

use std::os::unix::fs::MetadataExt;

use provisioner::dns::{Effect, Recorded};
use provisioner::exec::{Exchange, Scripted};
use rstest::rstest;

use super::*;

/// A home with a folder of drop-ins outside of it.
struct Folder {
    house: House,
    folder: Utf8PathBuf,
    dns: Dns,
}

impl Folder {
    fn new() -> Self {
        let house = House::new();
        let folder = house.path("dnsmasq.d");
        std::fs::create_dir(&folder).unwrap();
        let dns = Dns::Dnsmasq { folder: folder.clone(), restart: None };
        Self { house, folder, dns }
    }

    fn add(&self, name: &str) -> Result<bool, DnsError> {
        self.dns.add(&records(name, &self.house.home))
    }

    fn files(&self) -> Vec<String> {
        let mut files: Vec<String> =
            self.folder.read_dir_utf8().unwrap().map(|entry| entry.unwrap().file_name().to_owned()).collect();
        files.sort();
        files
    }

    fn path(&self, name: &str) -> Utf8PathBuf {
        self.folder.join(format!("homelab-{}.{name}.conf", self.house.home.id()))
    }
}

#[test]
fn a_drop_in_has_a_wildcard_the_api_server_and_no_forwarding() {
    let folder = Folder::new();
    assert!(folder.add("acme").unwrap());
    assert!(!folder.add("acme").unwrap(), "a record has changed");
    let text = std::fs::read_to_string(folder.path("acme")).unwrap();
    insta::assert_snapshot!(text.replace(&folder.house.home.id(), "[home]"));
    assert_eq!(std::fs::metadata(folder.path("acme")).unwrap().mode() & 0o777, 0o644);
}

#[test]
fn drop_ins_are_added_and_removed_one_by_one_and_read_back() {
    let folder = Folder::new();
    let home = &folder.house.home;
    for name in ["acme", "acme-1"] {
        folder.add(name).unwrap();
    }
    let (records, place) = (records("acme-1", home), folder.path("acme-1").into_string());
    assert!(folder.dns.remove(home, "acme").unwrap());
    assert!(!folder.dns.remove(home, "acme").unwrap());
    assert_eq!(folder.dns.list(home).unwrap(), [Recorded::Sound { records, place }]);
    assert_eq!(folder.files(), [folder.path("acme-1").file_name().unwrap()]);
}

#[test]
fn an_edited_drop_in_is_reported_as_damaged_and_written_again() {
    let folder = Folder::new();
    folder.add("acme").unwrap();
    let text = std::fs::read_to_string(folder.path("acme")).unwrap();
    std::fs::write(folder.path("acme"), text.replace("192.168.60.10", "10.0.0.1 # mine")).unwrap();
    let listed = folder.dns.list(&folder.house.home).unwrap();
    assert!(matches!(&listed[..], [Recorded::Damaged { instance, .. }] if instance == "acme"), "{listed:?}");
    assert!(folder.add("acme").unwrap());
    assert_eq!(std::fs::read_to_string(folder.path("acme")).unwrap(), text);
}

#[rstest]
#[case("address=/acme.lab/10.0.0.1")]
#[case("  server = /other.example/ACME.lab/10.0.0.1")]
#[case("local=/deep.acme.lab/")]
#[case("host-record=www.acme.lab,10.0.0.1")]
fn a_suffix_that_another_drop_in_has_is_refused_with_its_line(#[case] theirs: &str) {
    let folder = Folder::new();
    std::fs::write(folder.folder.join("lab.conf"), format!("# mine\n{theirs}\n")).unwrap();
    let told = folder.add("acme").unwrap_err().to_string().replace(folder.folder.as_str(), "[folder]");
    assert_eq!(told, "suffix acme.lab already in use by another entry: [folder]/lab.conf:2");
    assert_eq!(folder.files(), ["lab.conf"]);
}

#[test]
fn files_that_dnsmasq_ignores_and_names_that_only_look_alike_are_no_conflict() {
    let folder = Folder::new();
    for (name, text) in [
        ("lab.conf~", "address=/acme.lab/10.0.0.1"),
        (".lab.conf", "address=/acme.lab/10.0.0.1"),
        ("a.conf", "#address=/acme.lab/10.0.0.1\naddress=/lab/10.0.0.1\naddress=/notacme.lab/10.0.0.1"),
    ] {
        std::fs::write(folder.folder.join(name), text).unwrap();
    }
    assert!(folder.add("acme").unwrap());
}

#[test]
fn another_homes_suffix_is_refused_with_its_owner() {
    let (folder, other) = (Folder::new(), House::new());
    folder.dns.add(&records("acme", &other.home)).unwrap();
    let error = folder.add("acme").unwrap_err();
    let owner = format!("homelab-{}.acme", other.home.id());
    assert!(error.to_string().contains(&format!("already in use by {owner}: ")), "{error}");
    assert!(!folder.dns.remove(&folder.house.home, "acme").unwrap());
    assert_eq!(folder.files(), [format!("{owner}.conf")]);
}

#[tokio::test]
async fn dnsmasq_is_restarted_by_the_command_and_without_one_names_apply_after_a_restart() {
    let folder = Folder::new();
    assert_eq!(folder.dns.settle(&Scripted::new([])).await.unwrap(), Effect::AfterRestart);
    let restart = Some(["systemctl", "restart", "dnsmasq"].map(str::to_owned).to_vec());
    let dns = Dns::Dnsmasq { folder: folder.folder.clone(), restart };
    let works = Scripted::new([Exchange::ok("systemctl restart dnsmasq", "")]);
    assert_eq!(dns.settle(&works).await.unwrap(), Effect::Restarted);
    let fails = Scripted::new([Exchange::fails("systemctl restart dnsmasq", 1, "no such unit")]);
    assert!(matches!(dns.settle(&fails).await, Err(DnsError::Restart(_))));
}
