//! The blocks in a hosts file.

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use provisioner::dns::Recorded;
use provisioner::error::Hint;
use rstest::rstest;

use super::*;

#[test]
fn a_block_is_appended_and_removed_without_a_trace() {
    let host = Host::with(FOREIGN);
    assert!(host.add("acme").unwrap());
    insta::assert_snapshot!(host.shown(&host.text()));
    assert!(host.remove("acme").unwrap());
    assert_eq!(host.text(), FOREIGN);
    assert!(!host.remove("acme").unwrap(), "a block was left");
}

#[test]
fn a_hosts_file_has_no_wildcards_so_further_names_are_listed() {
    let mut host = Host::with("");
    let labels = ["grafana", "api", "www"].map(|label| label.parse().unwrap()).to_vec();
    host.dns = Dns::Hosts { file: host.file.clone(), labels };
    host.add("acme").unwrap();
    let names: Vec<String> =
        host.text().lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect();
    let expected = [
        "192.168.60.10 api.acme.lab",
        "192.168.60.21 acme.lab",
        "192.168.60.21 grafana.acme.lab",
        "192.168.60.21 www.acme.lab",
    ];
    assert_eq!(names, expected, "the API server's name must not have the workload address");
}

#[test]
fn recording_again_writes_nothing_and_a_change_replaces_the_block_where_it_is() {
    let host = Host::with(FOREIGN);
    host.add("acme").unwrap();
    let text = format!("{}10.0.0.1 later\n", host.text());
    std::fs::write(&host.file, &text).unwrap();
    let inode = || std::fs::metadata(&host.file).unwrap().ino();
    let before = inode();
    assert!(!host.add("acme").unwrap());
    assert_eq!(inode(), before, "the file was written");
    let mut moved = records("acme", host.home());
    moved.workload_address = "192.168.60.99".parse().unwrap();
    assert!(host.dns.add(&moved).unwrap());
    assert_eq!(host.text(), text.replace("192.168.60.21", "192.168.60.99"));
}

#[test]
fn blocks_are_independent_of_each_other() {
    let host = Host::with(FOREIGN);
    for name in ["acme", "acme-1", "globex"] {
        host.add(name).unwrap();
    }
    let all = host.text();
    assert!(host.remove("acme").unwrap());
    let listed: Vec<String> =
        host.dns.list(host.home()).unwrap().iter().map(|one| one.instance().to_owned()).collect();
    assert_eq!(listed, ["acme-1", "globex"], "acme-1 must not be removed with acme");
    assert!(all.ends_with(host.text().strip_prefix(FOREIGN).unwrap()), "the other blocks have changed");
}

#[test]
fn recorded_names_are_read_back() {
    let host = Host::with(FOREIGN);
    host.add("acme").unwrap();
    let place = format!("{}:6", host.file);
    let records = records("acme", host.home());
    assert_eq!(host.dns.list(host.home()).unwrap(), [Recorded::Sound { records, place }]);
    let other = House::new();
    assert_eq!(host.dns.list(&other.home).unwrap(), [], "blocks of another home are listed");
}

#[rstest]
#[case::end_is_missing("# BEGIN @acme\n192.168.60.10 api.acme.lab\n127.0.0.1 mine\n")]
#[case::another_begins_before_the_end("# BEGIN @acme\n# BEGIN @globex\n# END @globex\n# END @acme\n")]
#[case::beginning_is_missing("127.0.0.1 mine\n# END @acme\n")]
#[case::begins_twice("# BEGIN @acme\n# BEGIN @acme\n# END @acme\n")]
fn a_torn_block_is_reported_and_left_alone(#[case] torn: &str) {
    let host = Host::with("");
    let text = torn.replace('@', &format!("homelab-{}.", host.home().id()));
    std::fs::write(&host.file, &text).unwrap();
    for error in [host.add("acme").unwrap_err(), host.remove("acme").unwrap_err()] {
        assert!(matches!(error, DnsError::Damaged { .. }), "{error}");
    }
    assert_eq!(host.text(), text);
    let listed = host.dns.list(host.home()).unwrap();
    let is_damaged = |one: &Recorded| matches!(one, Recorded::Damaged { instance, .. } if instance == "acme");
    assert!(listed.iter().any(is_damaged), "{listed:?}");
}

#[test]
fn a_torn_block_of_one_instance_does_not_keep_another_from_its_names() {
    let host = Host::with("");
    let torn = format!("# BEGIN homelab-{}.globex\n10.0.0.1 mine\n", host.home().id());
    std::fs::write(&host.file, &torn).unwrap();
    assert!(host.add("acme").unwrap());
    assert!(host.remove("acme").unwrap());
    assert_eq!(host.text(), torn);
}

#[rstest]
#[case("10.9.8.7 API.acme.lab # old lab")]
#[case("10.9.8.7\tfoo acme.lab.")]
#[case("::1 acme.lab")]
fn a_name_mapped_to_another_address_is_refused_with_its_line(#[case] theirs: &str) {
    let text = format!("{FOREIGN}{theirs}\n");
    let host = Host::with(&text);
    let error = host.add("acme").unwrap_err();
    let told = host.shown(&error.to_string());
    let name = if theirs.contains("API") { "api.acme.lab" } else { "acme.lab" };
    let address = theirs.split_whitespace().next().unwrap();
    assert_eq!(told, format!("{name} already in use: /etc/hosts:6 maps it to {address}"));
    let hint = host.shown(&error.hint().unwrap());
    assert_eq!(hint, "remove line 6 of /etc/hosts, or choose another suffix with --tld");
    assert_eq!(host.text(), text);
}

#[test]
fn a_name_mapped_to_the_same_address_is_no_conflict() {
    let host = Host::with("192.168.60.10 api.acme.lab\n# 10.0.0.1 acme.lab\n");
    assert!(host.add("acme").unwrap());
}

#[test]
fn a_suffix_that_another_homes_block_has_is_refused_with_its_owner() {
    let (host, other) = (Host::with(FOREIGN), House::new());
    host.dns.add(&records("acme", &other.home)).unwrap();
    let before = host.text();
    let error = host.add("acme").unwrap_err();
    let told = host.shown(&error.to_string()).replace(&other.home.id(), "[other]");
    assert_eq!(told, "suffix acme.lab already in use by homelab-[other].acme: /etc/hosts:8");
    assert!(!host.remove("acme").unwrap(), "a block of another home was removed");
    assert_eq!(host.text(), before);
}

#[test]
fn mode_and_link_stay_and_a_new_file_is_for_all_to_read() {
    let mut host = Host::with(FOREIGN);
    std::fs::set_permissions(&host.file, PermissionsExt::from_mode(0o664)).unwrap();
    let link = host.house.path("link");
    symlink(&host.file, &link).unwrap();
    host.dns = Dns::Hosts { file: link.clone(), labels: Vec::new() };
    host.add("acme").unwrap();
    let mode = |path: &Utf8PathBuf| std::fs::metadata(path).unwrap().mode() & 0o777;
    assert!(link.is_symlink() && host.text().contains("api.acme.lab"));
    assert_eq!(mode(&host.file), 0o664);
    std::fs::remove_file(&host.file).unwrap();
    std::fs::remove_file(&link).unwrap();
    assert!(!host.remove("acme").unwrap());
    host.add("acme").unwrap();
    assert_eq!(mode(&link), 0o644);
}

#[test]
fn writers_at_the_same_time_lose_nothing() {
    let host = Host::with(FOREIGN);
    // A home for each writer, as of several users: they share only the file.
    let homes: Vec<House> = (0..16).map(|_| House::new()).collect();
    std::thread::scope(|scope| {
        for (number, house) in homes.iter().enumerate() {
            let dns = &host.dns;
            scope.spawn(move || {
                let own = format!("lab-{number}");
                for _ in 0..8 {
                    assert!(dns.add(&records(&own, &house.home)).unwrap());
                    assert!(dns.remove(&house.home, &own).unwrap());
                }
                dns.add(&records(&own, &house.home)).unwrap();
            });
        }
    });
    assert_eq!(host.text().matches("# BEGIN ").count(), homes.len());
    for (number, house) in homes.iter().enumerate() {
        assert!(host.dns.remove(&house.home, &format!("lab-{number}")).unwrap());
    }
    assert_eq!(host.text(), FOREIGN);
    let left = std::fs::read_dir(host.file.parent().unwrap()).unwrap().count();
    assert_eq!(left, 1, "another file is left in the folder");
}
