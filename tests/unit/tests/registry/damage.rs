//! A ledger that is torn, foreign or partly broken: told, kept, and never repaired by guessing.

use super::*;

#[test]
fn a_file_that_is_torn_anywhere_is_refused_and_left_as_it_is() {
    let (house, registry) = two();
    let path = house.home.registry();
    let whole = std::fs::read(&path).unwrap();
    // Without its last byte, a line feed, it is still whole.
    for length in 0..whole.len() - 1 {
        std::fs::write(&path, &whole[..length]).unwrap();
        let torn = [
            registry.list().map(drop),
            registry.find("acme").map(drop),
            claim(&registry, "initech").map(drop),
            registry.update("acme", |_| ()).map(drop),
            registry.release("acme").map(drop),
        ];
        for outcome in torn {
            assert!(matches!(outcome, Err(RegistryError::Damaged { .. })), "cut at {length}: {outcome:?}");
        }
        assert_eq!(std::fs::read(&path).unwrap(), whole[..length], "cut at {length}");
    }
}

#[test]
fn foreign_and_newer_files_are_refused_with_what_to_do() {
    let (house, registry) = two();
    let files = ["[]", "{}", "null", r#"{"instances": {}}"#, "hello", r#"{"version": 2, "clusters": []}"#];
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
fn a_broken_entry_is_shown_and_kept_and_keeps_new_claims_out() {
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

    // The sound ones can be worked with, and the broken ones stay what they are.
    registry.update("acme", |acme| acme.state = State::Running).unwrap();
    assert!(registry.release("globex").unwrap().is_some());
    assert_eq!(file(&house)["instances"][1], broken);
    assert_eq!(file(&house)["instances"][2], json!(["no", "entry"]));
}

#[test]
fn two_entries_of_one_name_are_not_both_sound() {
    let (house, registry) = two();
    let mut altered = file(&house);
    altered["instances"][1] = altered["instances"][0].clone();
    write(&house, &altered);
    let list = registry.list().unwrap();
    assert!(matches!(&list[..], [Entry::Sound(_), Entry::Broken { .. }]), "{list:?}");
    assert!(matches!(registry.find("acme"), Err(RegistryError::Broken { .. })));
}
