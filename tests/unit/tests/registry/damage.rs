//! A ledger that is cut short, not ours or partly broken: reported, kept, and never repaired by guessing.

use provisioner::error::Hint;

use super::*;

#[test]
fn a_file_that_is_torn_anywhere_is_refused_and_left_as_it_is() {
    let (house, registry) = two();
    let path = house.home.registry();
    let whole = std::fs::read(&path).unwrap();
    // Without its last byte, a line feed, the file is still complete.
    for length in 0..whole.len() - 1 {
        std::fs::write(&path, &whole[..length]).unwrap();
        let torn = [
            registry.list().map(drop),
            registry.find("acme").map(drop),
            recorded(&registry, "initech"),
            registry.update("acme", |_| ()).map(drop),
            registry.release("acme").map(drop),
        ];
        for outcome in torn {
            assert!(matches!(outcome, Err(RegistryError::Damaged { .. })), "cut at {length}: {outcome:?}");
        }
        assert_eq!(std::fs::read(&path).unwrap(), whole[..length], "cut at {length}");
    }
}

/// Makes the temporary file that a writer leaves when it is killed before its rename.
fn unfinished(house: &House, contents: &[u8]) -> camino::Utf8PathBuf {
    let path = house.home.root().join(".instances.json.homelab-a1b2c3");
    std::fs::write(&path, contents).unwrap();
    path
}

fn in_folder(house: &House) -> BTreeSet<String> {
    let entries = std::fs::read_dir(house.home.root()).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn a_write_that_was_torn_anywhere_leaves_the_old_ledger_valid_and_is_removed_by_the_next_change() {
    let (house, registry) = two();
    let old = std::fs::read(house.home.registry()).unwrap();
    claim(&registry, "initech").unwrap();
    let new = std::fs::read(house.home.registry()).unwrap();
    let before = registry.list().unwrap();
    for length in 0..=new.len() {
        // The ledger before the last write, and the first part of the new contents in the temporary file.
        std::fs::write(house.home.registry(), &old).unwrap();
        let torn = unfinished(&house, &new[..length]);
        assert_eq!(registry.list().unwrap(), before[..2], "cut at {length}");
        assert!(torn.exists(), "a reader has removed the temporary file");
        // The claim is the same each time, so that the bytes can be compared.
        let again = claim(&registry, "initech").unwrap();
        assert_eq!(Entry::Sound(again), before[2], "cut at {length}");
        assert!(!torn.exists(), "cut at {length}");
        assert_eq!(std::fs::read(house.home.registry()).unwrap(), new, "cut at {length}");
    }
    assert_eq!(
        in_folder(&house),
        ["home-id", "instances.json", "instances.json.lock"].map(str::to_owned).into()
    );
}

#[test]
fn only_temporary_files_of_the_ledger_are_removed_and_only_by_a_change() {
    let (house, registry) = two();
    let others =
        [".active-context.homelab-a1b2c3", ".instances.json.swp", ".homelab-a1b2c3", "instances.json.bak"];
    for name in others {
        std::fs::write(house.home.root().join(name), "foreign").unwrap();
    }
    let torn = unfinished(&house, b"{");
    registry.list().unwrap();
    registry.find("acme").unwrap();
    assert!(torn.exists());
    registry.release("acme").unwrap();
    assert!(!torn.exists());
    let left = in_folder(&house);
    for name in others {
        assert!(left.contains(name), "{name} is gone");
    }
}

#[test]
fn foreign_and_newer_files_are_refused_with_a_hint() {
    let (house, registry) = two();
    let files = ["[]", "{}", "null", r#"{"instances": {}}"#, "hello", r#"{"version": 99, "clusters": []}"#];
    let refusals = files.map(|text| {
        std::fs::write(house.home.registry(), text).unwrap();
        let error = claim(&registry, "initech").unwrap_err();
        assert_eq!(std::fs::read_to_string(house.home.registry()).unwrap(), text);
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
        format!("{text}\n  {error}{cause}\n  hint: {}", error.hint().unwrap())
    });
    let refusals = refusals.join("\n").replace(house.home.root().as_str(), "~/.homelab");
    insta::assert_snapshot!(refusals);
}

#[test]
fn a_broken_entry_is_shown_and_kept_and_stops_new_claims() {
    let (house, registry) = two();
    let mut altered = file(&house);
    let broken = json!({ "name": "initech", "subnet": "192.168.62", "weight": 0.1, "big": 1_u64 << 60 });
    altered["instances"].as_array_mut().unwrap().insert(1, broken.clone());
    altered["instances"].as_array_mut().unwrap().push(json!(["no", "entry"]));
    write(&house, &altered);

    let list = registry.list().unwrap();
    let names: Vec<_> = list.iter().map(Entry::name).collect();
    assert_eq!(names, [Some("acme"), Some("initech"), Some("globex"), None]);
    assert!(
        matches!(&list[1], Entry::Broken { error, .. } if error.contains("192.168.62") || !error.is_empty())
    );

    let refused = claim(&registry, "hooli").unwrap_err();
    assert!(refused.to_string().contains("'initech': "), "{refused}");
    assert!(refused.hint().is_some());
    assert!(matches!(registry.instances(), Err(RegistryError::Broken { .. })));
    assert!(matches!(registry.find("initech"), Err(RegistryError::Broken { .. })));
    assert!(matches!(registry.release("initech"), Err(RegistryError::Broken { .. })));

    // The sound entries can be changed, and the broken ones stay as they are.
    registry.update("acme", |acme| acme.state = State::Running).unwrap();
    assert!(registry.release("globex").unwrap().is_some());
    assert_eq!(file(&house)["instances"][1], broken);
    assert_eq!(file(&house)["instances"][2], json!(["no", "entry"]));
}

#[test]
fn the_second_entry_of_one_name_is_broken() {
    let (house, registry) = two();
    let mut altered = file(&house);
    altered["instances"][1] = altered["instances"][0].clone();
    write(&house, &altered);
    let list = registry.list().unwrap();
    assert!(matches!(&list[..], [Entry::Sound(_), Entry::Broken { .. }]), "{list:?}");
    assert!(matches!(registry.find("acme"), Err(RegistryError::Broken { .. })));
}
