//! Debian's own `update-ca-certificates` on temporary folders: the files that it makes for an anchor, and that it
//! removes all of them with the anchor.

use std::collections::BTreeMap;
use std::time::Duration;

use provisioner::exec::{Command, Local, Runner};
use provisioner::tls::Authority;

use super::*;
use crate::tls::{authority, leaf};

/// A Debian host in a folder, with two shipped authorities, of which the second is deselected.
struct Debian {
    house: House,
    store: Store,
}

impl Debian {
    async fn new() -> Self {
        let house = House::new();
        for folder in ["shipped", "local", "etc"] {
            std::fs::create_dir(house.path(folder)).unwrap();
        }
        for name in ["one", "two"] {
            std::fs::write(house.path("shipped").join(format!("{name}.crt")), authority(name).certificate)
                .unwrap();
        }
        std::fs::write(house.path("selection"), "one.crt\n!two.crt\n").unwrap();
        std::fs::write(house.path("local").join("corp.crt"), authority("corp").certificate).unwrap();
        let paths = [
            ("--certsconf", house.path("selection")),
            ("--certsdir", house.path("shipped")),
            ("--localcertsdir", house.path("local")),
            ("--etccertsdir", house.path("etc")),
            ("--hooksdir", house.path("no-hooks")),
        ];
        // Debian's own commands, with other folders.
        let host = Family::of("ID=debian").unwrap();
        let mut family = Family { anchors: house.path("local"), ..host };
        for words in [&mut family.added, &mut family.removed] {
            assert_eq!(words[0], "update-ca-certificates");
            words[0].insert_str(0, "/usr/sbin/"); // not in every user's PATH
            words.extend(paths.iter().flat_map(|(option, path)| [(*option).to_owned(), path.to_string()]));
        }
        let (program, arguments) = family.added.split_first().unwrap();
        let first = Command::within(Duration::from_secs(60), program).args(arguments);
        Local.run(&first).await.unwrap();
        Self { house, store: Store::at(family) }
    }

    fn id(&self, name: &str) -> InstanceId {
        InstanceId { home: self.house.home.id(), name: name.to_owned() }
    }

    async fn trust(&self, name: &str) -> Authority {
        let authority = authority(name);
        self.store.trust(&Local, &self.id(name), &authority.certificate).await.unwrap();
        authority
    }

    /// The bundle that programs read.
    fn bundle(&self) -> String {
        std::fs::read_to_string(self.house.path("etc/ca-certificates.crt")).unwrap()
    }

    /// All files and links of the store and of the anchors' folder.
    fn everything(&self) -> BTreeMap<String, String> {
        let files = ["etc", "local"].map(|folder| {
            let entries = self.house.path(folder).read_dir_utf8().unwrap().map(Result::unwrap);
            entries.map(|entry| {
                let text = match entry.path().read_link_utf8() {
                    Ok(target) => format!("-> {target}"),
                    Err(_) => std::fs::read_to_string(entry.path()).unwrap(),
                };
                (entry.path().to_string(), text)
            })
        });
        files.into_iter().flatten().collect()
    }

    /// Whether the host accepts a leaf of this authority, by its bundle and by its folder of links.
    async fn accepts(&self, authority: &Authority, name: &str) -> [bool; 2] {
        let suffix = format!("{name}.lab");
        let host = format!("app.{suffix}");
        let path = self.house.path("leaf.crt");
        std::fs::write(&path, leaf(authority, &suffix, &[&host]).certificate).unwrap();
        let bundle =
            ["-no-CApath".to_owned(), format!("-CAfile={}", self.house.path("etc/ca-certificates.crt"))];
        let links = ["-no-CAfile".to_owned(), format!("-CApath={}", self.house.path("etc"))];
        let mut accepted = [false; 2];
        for (store, accepted) in [bundle, links].into_iter().zip(&mut accepted) {
            let store = store.iter().flat_map(|word| word.split('='));
            let command = Command::within(Duration::from_secs(10), "openssl")
                .args(["verify", "-no-CAstore", "-verify_hostname", &host])
                .args(store)
                .arg(path.as_str());
            *accepted = Local.run(&command).await.is_ok();
        }
        accepted
    }
}

#[tokio::test]
async fn trust_adds_one_certificate_and_untrust_leaves_every_byte_as_it_was() {
    let debian = Debian::new().await;
    let (before, bundle) = (debian.everything(), debian.bundle());
    assert!(before.len() > 5, "links, hashes, a bundle and an anchor are missing: {:?}", before.keys());
    let acme = debian.trust("acme").await;
    assert_eq!(debian.bundle(), format!("{bundle}{}", acme.certificate));
    assert_eq!(debian.accepts(&acme, "acme").await, [true, true]);
    let removed = debian.store.untrust(&Local, &debian.id("acme")).await.unwrap();
    assert_eq!(removed.as_ref(), Some(&acme.certificate));
    assert_eq!(debian.everything(), before);
    assert_eq!(debian.accepts(&acme, "acme").await, [false, false]);
}

#[tokio::test]
async fn one_of_two_trusted_authorities_can_be_untrusted_and_the_other_stays() {
    let debian = Debian::new().await;
    let bundle = debian.bundle();
    let globex = debian.trust("globex").await;
    let with_globex = debian.everything();
    let acme = debian.trust("acme").await;
    assert_eq!(debian.bundle(), format!("{bundle}{}{}", acme.certificate, globex.certificate));
    assert_eq!(debian.accepts(&globex, "globex").await, [true, true]);
    debian.store.untrust(&Local, &debian.id("acme")).await.unwrap();
    assert_eq!(debian.everything(), with_globex);
    assert_eq!(debian.accepts(&globex, "globex").await, [true, true]);
    assert_eq!(debian.accepts(&acme, "acme").await, [false, false]);
}

#[tokio::test]
async fn a_new_authority_takes_the_place_of_the_one_before() {
    let debian = Debian::new().await;
    let old = debian.trust("acme").await;
    let new = authority("acme");
    let before = debian.store.trust(&Local, &debian.id("acme"), &new.certificate).await.unwrap();
    assert_eq!(before, Some(old.certificate.clone()));
    assert!(!debian.bundle().contains(&old.certificate));
    assert_eq!(debian.accepts(&new, "acme").await, [true, true]);
    assert_eq!(debian.accepts(&old, "acme").await, [false, false]);
}
