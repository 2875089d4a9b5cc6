//! KUBECONFIG with several files: they are merged as kubectl does, and each change goes to the right file.

use camino::Utf8PathBuf;

use super::*;

/// A home whose KUBECONFIG names two files, and a third that does not exist.
fn two_files(first: &str, second: &str) -> (House, [Utf8PathBuf; 3]) {
    let mut house = House::new();
    let paths = ["missing", "first", "second"].map(|name| house.path(name));
    std::fs::write(&paths[1], first).unwrap();
    std::fs::write(&paths[2], second).unwrap();
    house.home = house.home.clone().with_kubeconfigs(paths.to_vec());
    (house, paths)
}

const WORK: &str = "contexts:\n- name: work\n  context: {cluster: work}\ncurrent-context: work\n";
const LAB: &str = "contexts:\n- name: lab\n  context: {cluster: lab}\ncurrent-context: lab\n";

fn read(path: &Utf8PathBuf) -> String {
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn a_new_entry_is_written_to_the_first_file_that_exists_and_the_others_stay_untouched() {
    let (house, [missing, first, second]) = two_files(WORK, LAB);
    kubeconfig::merge(&house.home, &isolated("acme", &house.home)).unwrap();
    assert!(!missing.exists());
    assert_eq!(names(&read(&first)), ["work", "acme"]);
    assert_eq!(read(&second), LAB);
    let contexts = kubeconfig::use_context(&house.home, "acme").unwrap();
    assert_eq!(contexts, ["work", "acme", "lab"]);
    assert_eq!(kubeconfig::current(&house.home).unwrap().as_deref(), Some("acme"));
    assert_eq!(read(&second), LAB);
}

#[test]
fn without_any_file_the_last_one_is_made_as_kubectl_does() {
    let (house, [missing, first, second]) = two_files("", "");
    std::fs::remove_file(&first).unwrap();
    std::fs::remove_file(&second).unwrap();
    kubeconfig::merge(&house.home, &isolated("acme", &house.home)).unwrap();
    assert!(!missing.exists() && !first.exists());
    assert_eq!(names(&read(&second)), ["acme"]);
}

#[test]
fn an_entry_is_replaced_and_removed_in_the_file_that_has_it() {
    let (house, [_, first, second]) = two_files(WORK, LAB);
    kubeconfig::merge(&house.home, &isolated("acme", &house.home)).unwrap();
    kubeconfig::use_context(&house.home, "acme").unwrap();
    std::fs::rename(&first, house.path("moved")).unwrap();
    std::fs::rename(&second, &first).unwrap();
    std::fs::rename(house.path("moved"), &second).unwrap();

    let renewed = isolated("acme", &house.home).replace("Q0E=", "Q0EK");
    kubeconfig::merge(&house.home, &renewed).unwrap();
    assert_eq!(read(&first), LAB);
    assert!(read(&second).contains("Q0EK") && !read(&second).contains("Q0E="));
    assert!(kubeconfig::unmerge(&house.home, "acme").unwrap());
    assert_eq!(read(&first), LAB);
    assert_eq!(names(&read(&second)), ["work"]);
    assert!(read(&second).contains("\ncurrent-context: \"\"\n"), "{}", read(&second));
    assert_eq!(kubeconfig::current(&house.home).unwrap().as_deref(), Some("lab"));
}

#[test]
fn a_foreign_entry_in_any_file_is_a_refusal_that_names_the_file() {
    let foreign = LAB.replace("name: lab", "name: acme");
    let (house, [_, first, second]) = two_files(WORK, &foreign);
    let error = kubeconfig::merge(&house.home, &isolated("acme", &house.home)).unwrap_err();
    assert!(
        matches!(&error, KubeconfigError::Foreign { path, kind: "context", .. } if *path == second),
        "{error}"
    );
    assert_eq!((read(&first), read(&second)), (WORK.to_owned(), foreign));
}

#[test]
fn a_damaged_file_among_them_is_refused_and_none_is_written() {
    let (house, [_, first, second]) = two_files(WORK, "contexts: [");
    let error = kubeconfig::merge(&house.home, &isolated("acme", &house.home)).unwrap_err();
    assert!(matches!(&error, KubeconfigError::Unparsable { file, .. } if *file == second), "{error}");
    assert_eq!((read(&first).as_str(), read(&second).as_str()), (WORK, "contexts: ["));
}
