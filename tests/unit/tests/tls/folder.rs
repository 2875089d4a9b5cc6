//! The files of certificates: readable only by the user, written atomically, and only used if they are this instance's.

use std::os::unix::fs::PermissionsExt;

use camino::Utf8Path;

use provisioner::error::Hint;
use provisioner::home::Home;
use provisioner::registry::Instance;
use provisioner::tls::{Certificate, CertificateState, Folder, TlsError};

use crate::given::{House, instance, now};

fn folder(home: &Home, name: &str) -> Folder {
    Folder::of(home, &instance(name, &[]))
}

fn mode(path: &Utf8Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn files(home: &Home, name: &str) -> Vec<String> {
    let entries = home.tls(name).read_dir_utf8().unwrap();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().to_owned()).collect();
    names.sort();
    names
}

fn told(error: &TlsError, house: &House) -> String {
    let text = format!("{error}\nhint: {}", error.hint().unwrap_or_default());
    text.replace(house.home.root().as_str(), "[home]")
}

#[test]
fn an_authority_is_made_once() {
    let house = House::new();
    let folder = folder(&house.home, "acme");
    let first = folder.init(now()).unwrap();
    assert!(first.made);
    let second = folder.init(now()).unwrap();
    assert!(!second.made);
    assert_eq!(second.authority, first.authority);
    assert_eq!(folder.authority().unwrap(), first.authority);
    assert_eq!(files(&house.home, "acme"), ["ca.crt", "ca.key"]);
}

#[test]
fn of_many_concurrent_attempts_one_creates_the_authority() {
    let house = House::new();
    let folder = folder(&house.home, "acme");
    let all: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| folder.init(now()).unwrap())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(all.iter().filter(|init| init.made).count(), 1);
    let kept = folder.authority().unwrap();
    assert!(all.iter().all(|init| init.authority == kept));
}

#[test]
fn keys_and_their_folder_are_for_the_user_alone_and_are_never_shown() {
    let house = House::new();
    let folder = folder(&house.home, "acme");
    let authority = folder.init(now()).unwrap().authority;
    let issued = folder.issue(&["*.acme.lab"], 30, now()).unwrap();
    assert_eq!(
        files(&house.home, "acme"),
        ["_wildcard.acme.lab.crt", "_wildcard.acme.lab.key", "ca.crt", "ca.key"]
    );
    assert_eq!(mode(&house.home.tls("acme")), 0o700);
    assert_eq!(mode(&house.home.tls("acme").join("ca.key")), 0o600);
    assert_eq!(mode(&issued.key), 0o600);
    assert!(authority.key.reveal().starts_with("-----BEGIN PRIVATE KEY-----"));
    assert!(!format!("{authority:?}").contains("PRIVATE KEY"));
}

#[test]
fn a_leaf_is_issued_again_under_the_same_name_with_a_key_of_its_own() {
    let house = House::new();
    let folder = folder(&house.home, "acme");
    folder.init(now()).unwrap();
    let first = folder.issue(&["app.acme.lab"], 30, now()).unwrap();
    let key = std::fs::read_to_string(&first.key).unwrap();
    let second = folder.issue(&["app.acme.lab", "www.acme.lab"], 30, now()).unwrap();
    assert_eq!((&second.certificate, &second.key), (&first.certificate, &first.key));
    assert_ne!(second.about.fingerprint, first.about.fingerprint);
    assert_ne!(std::fs::read_to_string(&second.key).unwrap(), key);
    let pem = std::fs::read_to_string(&second.certificate).unwrap();
    assert_eq!(Certificate::read(&pem).unwrap(), second.about);
}

#[test]
fn refused_names_leave_no_file() {
    let house = House::new();
    let folder = folder(&house.home, "acme");
    folder.init(now()).unwrap();
    let refused = folder.issue(&["app.acme.lab", "x.globex.lab"], 30, now()).unwrap_err();
    assert!(matches!(refused, TlsError::Refused { .. }), "{refused}");
    assert_eq!(files(&house.home, "acme"), ["ca.crt", "ca.key"]);
}

#[test]
fn nothing_is_issued_without_an_authority_or_after_its_end() {
    let house = House::new();
    let folder = folder(&house.home, "acme");
    let missing = folder.issue(&["app.acme.lab"], 30, now()).unwrap_err();
    let end = folder.init(now()).unwrap().authority.about.not_after;
    folder.issue(&["app.acme.lab"], 30, end - jiff::SignedDuration::from_secs(1)).unwrap();
    let ended = folder.issue(&["app.acme.lab"], 30, end).unwrap_err();
    insta::assert_snapshot!(format!("{}\n{}", told(&missing, &house), told(&ended, &house)));
}

/// The error of `issue` and `init` when something else is in the place of acme's authority. Both must not change the
/// folder.
fn confused(change: impl FnOnce(&House, &Utf8Path)) -> String {
    let house = House::new();
    let folder = folder(&house.home, "acme");
    folder.init(now()).unwrap();
    change(&house, &house.home.tls("acme"));
    let before = files(&house.home, "acme");
    let error = folder.issue(&["app.acme.lab"], 30, now()).unwrap_err();
    let kept = folder.init(now()).unwrap_err();
    assert_eq!(told(&error, &house), told(&kept, &house), "init must neither use nor replace it");
    assert_eq!(files(&house.home, "acme"), before);
    assert!(
        folder.rotate(now()).unwrap().authority == folder.authority().unwrap(),
        "a rotation did not repair it"
    );
    told(&error, &house)
}

#[test]
fn a_foreign_or_damaged_authority_is_not_used() {
    let other = |change: fn(&mut Instance)| {
        confused(move |_, tls| {
            let house = House::new();
            let mut instance = instance("acme", &[]);
            change(&mut instance);
            Folder::of(&house.home, &instance).init(now()).unwrap();
            for file in ["ca.crt", "ca.key"] {
                std::fs::copy(house.home.tls("acme").join(file), tls.join(file)).unwrap();
            }
        })
    };
    let write = |file: &'static str, text: &'static str| {
        confused(move |_, tls| std::fs::write(tls.join(file), text).unwrap())
    };
    let told = [
        other(|acme| acme.k8s.ca_name = "HomeLab CA - globex".to_owned()),
        other(|acme| acme.tld_prefix = "globex".to_owned()),
        write("ca.crt", "no certificate"),
        write("ca.key", "no key"),
        confused(|_, tls| {
            let house = House::new();
            let other = folder(&house.home, "globex").init(now()).unwrap().authority;
            let both = std::fs::read_to_string(tls.join("ca.crt")).unwrap() + &other.certificate;
            std::fs::write(tls.join("ca.crt"), both).unwrap();
        }),
        confused(|_, tls| {
            let house = House::new();
            folder(&house.home, "acme").init(now()).unwrap();
            std::fs::copy(house.home.tls("acme").join("ca.key"), tls.join("ca.key")).unwrap();
        }),
        confused(|house, tls| {
            let authority = folder(&house.home, "acme").authority().unwrap();
            std::fs::write(tls.join("ca.crt"), super::unconstrained(&authority).certificate).unwrap();
        }),
        confused(|house, tls| {
            let leaf = folder(&house.home, "acme").issue(&["app.acme.lab"], 30, now()).unwrap();
            let (key, certificate) = (tls.join("ca.key"), tls.join("ca.crt"));
            std::fs::rename(leaf.key, key).unwrap();
            std::fs::rename(leaf.certificate, certificate).unwrap();
        }),
    ];
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn a_list_shows_every_leaf_with_its_validity_and_continues_after_a_broken_one() {
    let house = House::new();
    let folder = folder(&house.home, "acme");
    folder.init(now()).unwrap();
    for (name, days) in [("a.acme.lab", 397), ("b.acme.lab", 20), ("c.acme.lab", 1)] {
        folder.issue(&[name], days, now()).unwrap();
    }
    std::fs::write(house.home.tls("acme").join("d.acme.lab.crt"), "torn").unwrap();
    let later = now() + jiff::SignedDuration::from_hours(48);
    let listed: Vec<String> = folder
        .leaves(later)
        .unwrap()
        .iter()
        .map(|found| match &found.certificate {
            Ok((about, standing)) => format!("{} {standing}", about.names.join(" ")),
            Err(error) => error.to_string().replace(house.home.root().as_str(), "[home]"),
        })
        .collect();
    insta::assert_snapshot!(listed.join("\n"));
}

#[test]
fn a_rotation_replaces_the_authority_and_every_leaf_and_nothing_of_the_old_is_accepted() {
    let house = House::new();
    let folder = folder(&house.home, "acme");
    let old = folder.init(now()).unwrap().authority;
    folder.issue(&["app.acme.lab", "www.acme.lab"], 30, now()).unwrap();
    folder.issue(&["*.acme.lab"], 30, now()).unwrap();
    let before = files(&house.home, "acme");
    let rotated = folder.rotate(now()).unwrap();
    assert_eq!(rotated.old.as_ref(), Some(&old.about.fingerprint));
    assert_ne!(rotated.authority.about.fingerprint, old.about.fingerprint);
    assert_ne!(rotated.authority.key, old.key);
    assert_eq!(files(&house.home, "acme"), before);
    let names: Vec<&[String]> = rotated.leaves.iter().map(|leaf| leaf.about.names.as_slice()).collect();
    assert_eq!(names, [["*.acme.lab"].as_slice(), &["app.acme.lab", "www.acme.lab"]]);
    for leaf in &rotated.leaves {
        let pem = std::fs::read_to_string(&leaf.certificate).unwrap();
        assert!(rotated.authority.vouches_for(&pem) && !old.vouches_for(&pem));
    }
}

#[test]
fn a_leaf_of_an_earlier_authority_is_orphaned_until_the_next_rotation() {
    let house = House::new();
    let folder = folder(&house.home, "acme");
    folder.init(now()).unwrap();
    folder.issue(&["app.acme.lab"], 300, now()).unwrap();
    let standing = || folder.leaves(now()).unwrap()[0].certificate.as_ref().unwrap().1;
    assert_eq!(standing(), CertificateState::Valid);
    // As after a rotation that was killed between the authority and the leaf.
    std::fs::remove_file(folder.authority_path()).unwrap();
    assert!(folder.init(now()).unwrap().made);
    assert_eq!(standing(), CertificateState::Orphaned);
    folder.rotate(now()).unwrap();
    assert_eq!(standing(), CertificateState::Valid);
}

#[test]
fn a_leaf_that_cannot_be_read_stops_a_rotation_before_anything_is_changed() {
    let house = House::new();
    let folder = folder(&house.home, "acme");
    let authority = folder.init(now()).unwrap().authority;
    std::fs::write(house.home.tls("acme").join("app.acme.lab.crt"), "torn").unwrap();
    let error = folder.rotate(now()).unwrap_err();
    assert_eq!(folder.authority().unwrap(), authority);
    insta::assert_snapshot!(told(&error, &house));
}
