//! One folder is one home for each spelling of its path, and a copy of the folder is not the same home.

mod in_use;
mod neighbours;

use std::os::unix::fs::symlink;

use camino::{Utf8Path, Utf8PathBuf};
use provisioner::error::Hint;
use provisioner::home::{Home, HomeError, Listed};
use provisioner::plan::{Pools, Taken};
use provisioner::registry::{Instance, Registry};

use crate::given::{House, checked, claimed};

/// Claims an instance, as `up` does first.
fn claim(home: &Home, name: &str) -> Instance {
    let decide = |there: &[Instance]| {
        let taken = Taken { instances: there.to_vec(), ..Taken::default() };
        claimed(&checked(name), &taken, &Pools::default())
    };
    Registry::in_home(home).claim(decide).unwrap()
}

/// `cp --archive`, which keeps all but the inodes.
#[expect(clippy::disallowed_methods, reason = "the tool with which users copy homes")]
fn copy(from: &Utf8Path, to: &Utf8Path) {
    let copied = std::process::Command::new("cp").args(["--archive", from.as_str(), to.as_str()]).status();
    assert!(copied.unwrap().success());
}

/// The home in a folder of a host without other listed homes.
fn open(folder: &Utf8Path) -> Result<Home, HomeError> {
    Home::in_folder(folder, &Listed::in_folder(folder.parent().unwrap().join("homes")))
}

fn id_file(home: &Home) -> Utf8PathBuf {
    home.root().join("home-id")
}

#[test]
fn a_home_is_its_folder_under_every_spelling_of_the_path() {
    let house = House::new();
    claim(&house.home, "acme");
    let root = house.home.root();
    symlink(root, house.path("link")).unwrap();
    symlink(house.path(""), house.path("up")).unwrap();
    for spelled in [
        format!("{root}/"),
        format!("{root}//"),
        format!("/{root}"),
        format!("{root}/./"),
        format!("{root}/instances/.."),
        house.path("link").to_string(),
        format!("{}/", house.path("link")),
        format!("{}/home", house.path("up")),
    ] {
        let home = open(Utf8Path::new(&spelled)).unwrap();
        assert_eq!((home.root(), home.id()), (root, house.home.id()), "{spelled}");
        assert_eq!(Registry::in_home(&home).instances().unwrap().len(), 1, "{spelled}");
    }
}

#[test]
fn reading_a_missing_home_creates_nothing_and_shows_the_id_that_it_will_get() {
    let house = House::new();
    let (before, link) = (open(house.home.root()).unwrap(), house.path("link"));
    assert_eq!(Registry::in_home(&before).list().unwrap(), []);
    assert!(!house.home.root().exists());
    claim(&before, "acme");
    symlink(before.root(), &link).unwrap();
    assert_eq!(open(&link).unwrap().id(), before.id());
}

#[test]
fn a_home_that_is_moved_keeps_its_id_and_can_be_moved_again() {
    let house = House::new();
    claim(&house.home, "acme");
    for to in ["elsewhere", "back"] {
        let from = house.path(if to == "back" { "elsewhere" } else { "home" });
        std::fs::rename(from, house.path(to)).unwrap();
        let moved = open(&house.path(to)).unwrap();
        assert_eq!(moved.id(), house.home.id());
        claim(&moved, to);
        let written = std::fs::read_to_string(id_file(&moved)).unwrap();
        assert!(written.contains(moved.root().as_str()), "{written}");
    }
}

#[test]
fn a_copy_is_refused_with_the_commands_that_make_it_a_separate_home_or_the_only_one() {
    let house = House::new();
    claim(&house.home, "acme");
    copy(house.home.root(), &house.path("copy"));
    let (root, id) = (house.home.root().to_owned(), house.home.id());
    let error = open(&house.path("copy")).unwrap_err();
    let file = house.path("copy/home-id");
    assert_eq!(
        error.to_string(),
        format!(
            "{} is a copy of {root}, or was restored from a backup: two homes cannot both have the id {id}",
            house.path("copy")
        )
    );
    let hint = error.hint().unwrap();
    assert!(
        hint.contains(&format!("`rm {file}`")) && hint.contains(&format!("`echo {id} > {file}`")),
        "{hint}"
    );
    assert_eq!(open(&root).unwrap().id(), id, "the original has another id");

    std::fs::write(&file, format!("{id}\n")).unwrap();
    let adopted = open(&house.path("copy")).unwrap();
    assert_eq!(adopted.id(), id);
    std::fs::remove_file(&file).unwrap();
    let own = open(&house.path("copy")).unwrap();
    assert_ne!(own.id(), id);
    claim(&own, "globex");
    assert_eq!(open(&house.path("copy")).unwrap().id(), own.id());
}

#[test]
fn a_backup_at_the_old_path_of_a_moved_home_is_refused_and_the_moved_home_works() {
    let house = House::new();
    claim(&house.home, "acme");
    std::fs::rename(house.path("home"), house.path("moved")).unwrap();
    copy(&house.path("moved"), &house.path("home"));
    assert!(matches!(open(&house.path("home")), Err(HomeError::Copy { .. })));
    assert_eq!(open(&house.path("moved")).unwrap().id(), house.home.id());
}

#[test]
fn a_new_home_at_the_old_path_of_a_moved_one_gets_another_id() {
    let house = House::new();
    let list = Listed::in_folder(house.path("homes"));
    claim(&house.home, "acme");
    drop(provisioner::registry::Neighbours::enter(&list, &house.home).unwrap());
    std::fs::rename(house.path("home"), house.path("moved")).unwrap();
    // The list has the new path as soon as the home is used there.
    let moved = Home::in_folder(&house.path("moved"), &list).unwrap();
    drop(provisioner::registry::Neighbours::enter(&list, &moved).unwrap());
    let new = Home::in_folder(&house.path("home"), &list).unwrap();
    assert_ne!(new.id(), moved.id());
    claim(&new, "acme");
    assert_eq!(Home::in_folder(&house.path("home"), &list).unwrap().id(), new.id());
}

#[test]
fn a_home_of_an_earlier_version_keeps_the_id_that_its_nodes_have() {
    let house = House::new();
    // The digest of the path, as earlier versions without a recorded id had it.
    let earlier = house.home.id();
    claim(&house.home, "acme");
    std::fs::remove_file(id_file(&house.home)).unwrap();
    let spelled = format!("{}/", house.home.root());
    house.kubeconfig(&format!("# scope: homelab-{earlier}.acme\n"));
    assert_eq!(open(Utf8Path::new(&spelled)).unwrap().id(), earlier, "the kubeconfig has entries of this id");
    let home = open(house.home.root()).unwrap();
    claim(&home, "globex");
    std::fs::rename(house.path("home"), house.path("moved")).unwrap();
    assert_eq!(open(&house.path("moved")).unwrap().id(), earlier);
}

#[test]
fn concurrent_creators_of_a_home_get_one_id() {
    let house = House::new();
    let ids: Vec<String> = std::thread::scope(|scope| {
        let begun = (0..16).map(|number| {
            let root = house.home.root();
            scope.spawn(move || {
                let home = open(root).unwrap();
                claim(&home, &format!("c{number}"));
                home.id()
            })
        });
        begun.collect::<Vec<_>>().into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(ids.iter().all(|id| *id == house.home.id()), "{ids:?}");
    let names = house.home.root().read_dir_utf8().unwrap().map(|entry| entry.unwrap().file_name().to_owned());
    let left: Vec<String> = names.filter(|name| name.starts_with('.')).collect();
    assert_eq!(left, Vec::<String>::new(), "unfinished files are left");
}

#[test]
fn an_id_file_without_a_valid_id_is_refused_and_left_alone() {
    let house = House::new();
    claim(&house.home, "acme");
    for damage in ["", "not an id\n", "0a1b2c\ntorn"] {
        std::fs::write(id_file(&house.home), damage).unwrap();
        let error = open(house.home.root()).unwrap_err();
        assert_eq!(error.to_string(), format!("{} does not hold the id of a home", id_file(&house.home)));
        assert_eq!(std::fs::read_to_string(id_file(&house.home)).unwrap(), damage);
    }
}

#[test]
fn nothing_is_recorded_in_a_home_that_has_got_another_id_meanwhile() {
    let house = House::new();
    claim(&house.home, "acme");
    std::fs::write(id_file(&house.home), "ffffff\n").unwrap();
    let error = Registry::in_home(&house.home).release("acme").unwrap_err();
    assert_eq!(error.hint().as_deref(), Some("repeat the command"));
    assert_eq!(Registry::in_home(&house.home).instances().unwrap().len(), 1);
}
