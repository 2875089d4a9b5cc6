//! The kubeconfig as a file: its mode, links to it, and changes by several processes at the same time.

use provisioner::error::Hint;
use std::os::unix::fs::symlink;

use super::*;

#[test]
fn an_empty_file_is_an_empty_kubeconfig_and_keeps_its_mode() {
    let house = House::new();
    house.kubeconfig("\n");
    let path = house.home.merged_kubeconfig();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o640)).unwrap();
    kubeconfig::merge(&house.home, &isolated("acme", &house.home)).unwrap();
    assert_eq!(names(&house.merged()), ["acme"]);
    assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o640);
}

#[test]
fn a_linked_kubeconfig_is_written_where_the_link_leads() {
    let house = House::new();
    let target = house.path("dotfiles");
    std::fs::write(&target, FOREIGN).unwrap();
    house.home.create_dir(house.home.root()).unwrap();
    symlink("../dotfiles", house.home.merged_kubeconfig()).unwrap();
    kubeconfig::merge(&house.home, &isolated("acme", &house.home)).unwrap();
    assert!(house.home.merged_kubeconfig().is_symlink());
    assert_eq!(names(&std::fs::read_to_string(target).unwrap()), ["work", "acme"]);
}

#[test]
fn the_temporary_file_of_a_killed_writer_is_removed_by_the_next_one() {
    let house = House::new();
    house.kubeconfig(FOREIGN);
    let torn = house.home.root().join(".kubeconfig.homelab-torn");
    let others = house.home.root().join(".config.homelab-torn");
    for path in [&torn, &others] {
        std::fs::write(path, "apiVers").unwrap();
    }
    kubeconfig::merge(&house.home, &isolated("acme", &house.home)).unwrap();
    assert!(!torn.exists() && others.exists());
    assert_eq!(names(&house.merged()), ["work", "acme"]);
}

#[test]
fn the_isolated_file_is_for_its_owner_alone() {
    let house = House::new();
    let path = kubeconfig::write_isolated(&house.home, "acme", "one\n").unwrap();
    kubeconfig::write_isolated(&house.home, "acme", "two\n").unwrap();
    assert_eq!(path, house.home.isolated_kubeconfig("acme"));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "two\n");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn concurrent_merges_and_unmerges_lose_nothing() {
    let house = House::new();
    house.kubeconfig(FOREIGN);
    std::thread::scope(|scope| {
        for i in 0..8 {
            let home = &house.home;
            scope.spawn(move || {
                for round in 0..4 {
                    let name = format!("client-{i}-{round}");
                    kubeconfig::merge(home, &isolated(&name, home)).unwrap();
                    if round % 2 == 0 {
                        assert!(kubeconfig::unmerge(home, &name).unwrap());
                    }
                }
            });
        }
    });
    let mut left = names(&house.merged());
    left.sort();
    let wanted: Vec<String> =
        (0..8).flat_map(|i| [1, 3].map(|round| format!("client-{i}-{round}"))).collect();
    assert_eq!(left[..16], wanted);
    assert_eq!(left[16], "work");
}

#[test]
fn kubectls_lock_is_waited_for_and_a_dead_homelabs_is_swept() {
    let house = House::new();
    let lock = format!("{}.lock", house.home.merged_kubeconfig());
    house.kubeconfig(FOREIGN);
    // A lock file of ours without a holder, as SIGKILL leaves it.
    std::fs::write(&lock, "homelab\n").unwrap();
    kubeconfig::merge(&house.home, &isolated("acme", &house.home)).unwrap();
    // A lock file of kubectl, removed before or after the other thread begins to wait for it: both orders must work.
    std::fs::write(&lock, "").unwrap();
    std::thread::scope(|scope| {
        let merging = scope.spawn(|| kubeconfig::merge(&house.home, &isolated("globex", &house.home)));
        assert_eq!(names(&house.merged()), ["work", "acme"]);
        std::fs::remove_file(&lock).unwrap();
        merging.join().unwrap().unwrap();
    });
    assert_eq!(names(&house.merged()), ["work", "acme", "globex"]);
    assert!(!std::path::Path::new(&lock).exists());
}

#[test]
fn a_lock_that_is_never_released_is_an_error_that_names_it() {
    let house = House::new();
    house.kubeconfig(FOREIGN);
    let lock = format!("{}.lock", house.home.merged_kubeconfig());
    std::fs::write(&lock, "").unwrap();
    let error = kubeconfig::merge(&house.home, &isolated("acme", &house.home)).unwrap_err();
    let told = error.to_string();
    assert!(told.starts_with(&format!("{lock} still exists after 5s, created by ")), "{told}");
    assert_eq!(
        error.hint().unwrap(),
        format!("if no kubectl is running, a killed one has left the lock: `rm {lock}`")
    );
    assert_eq!(house.merged(), FOREIGN);
    assert!(std::path::Path::new(&lock).exists());
}
