//! Folders that the environment names, and the errors for those that cannot be used.

use std::os::unix::fs::symlink;

use crate::desk::Desk;

#[tokio::test]
async fn a_home_is_found_under_every_spelling_of_its_path_in_the_environment() {
    let desk = Desk::with_three();
    symlink(desk.path("lab"), desk.path("link")).unwrap();
    let list = desk.homelab("instance list").await;
    assert!(list.contains("acme") && list.contains("(exit 0)"), "{list}");
    let link = desk.path("link");
    for spelled in ["lab", "lab/", "./lab//", "lab/../lab", link.as_str()] {
        assert_eq!(
            desk.homelab_where(&[("HOMELAB_HOME", spelled)], "instance list").await,
            list,
            "{spelled}"
        );
    }
}

#[tokio::test]
async fn a_kubeconfig_under_two_names_is_one_file() {
    let desk = Desk::with_three();
    let (home, file) = (desk.home.root(), desk.home.merged_kubeconfig());
    symlink(file, desk.path("link")).unwrap();
    let twice = format!("{file}:{home}//kubeconfig:{}", desk.path("link"));
    let folders = [("HOMELAB_HOME", home.as_str()), ("KUBECONFIG", twice.as_str())];
    let switched = desk.homelab_where(&folders, "k8s use-context acme").await;
    assert!(switched.contains("(exit 0)"), "{switched}");
}

#[tokio::test]
async fn folders_that_cannot_be_used_are_refused_with_the_variable_and_the_reason() {
    let desk = Desk::with_three();
    symlink("nowhere", desk.path("dangling")).unwrap();
    std::fs::write(desk.path("file"), "").unwrap();
    let lab = desk.home.root().as_str();
    let mut session = String::new();
    for folders in [
        [("HOMELAB_HOME", "a:b"), ("HOMELAB_CACHE", "cache")],
        [("HOMELAB_HOME", "my lab"), ("HOMELAB_CACHE", "cache")],
        [("HOMELAB_HOME", "dangling"), ("HOMELAB_CACHE", "cache")],
        [("HOMELAB_HOME", "file"), ("HOMELAB_CACHE", "cache")],
        [("HOMELAB_HOME", lab), ("HOMELAB_CACHE", "a,b")],
        [("HOMELAB_HOME", lab), ("HOMELAB_CACHE", "new\nline")],
    ] {
        session.push_str(&format!("{folders:?}\n").replace(desk.path("").as_str(), "~/"));
        session.push_str(&desk.homelab_where(&folders, "up initech").await);
    }
    insta::assert_snapshot!(session);
    assert!(!desk.path("a:b").exists() && !desk.path("my lab").exists());
}

#[tokio::test]
async fn a_copied_home_is_refused_by_every_verb() {
    let desk = Desk::with_three();
    std::fs::create_dir(desk.path("copy")).unwrap();
    for file in ["home-id", "instances.json"] {
        std::fs::copy(desk.home.root().join(file), desk.path("copy").join(file)).unwrap();
    }
    let mut session = String::new();
    for line in ["instance list", "down acme", "reap", "doctor"] {
        session.push_str(&desk.homelab_where(&[("HOMELAB_HOME", "copy")], line).await);
    }
    insta::assert_snapshot!(session.replace(&desk.home.id(), "<id>"));
}
