//! A change of the contents keeps all else of a file: links, names, mode and attributes.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use provisioner::exec::{Command, Failure, Local, Runner};
use provisioner::files::{FileError, Foreign, Fresh, Unfit};
use rstest::rstest;
use rustix::fs::{XattrFlags, getxattr, setxattr};

use super::*;

/// Changes a file as a file of another program.
fn rewrite(path: &Utf8Path, contents: &str) -> Result<bool, FileError> {
    Foreign::read(path)?.write(contents.as_bytes(), Fresh::Public)
}

fn text(path: &Utf8Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

/// The user's kubeconfig and the host's names are written to the targets of links: absolute and relative ones, and
/// chains.
#[rstest]
#[case::of_the_user("kube/config")]
#[case::of_hosts("hosts")]
#[tokio::test]
async fn a_link_stays_a_link_and_the_file_behind_it_is_changed(#[case] file: &str) {
    let desk = Desk::new();
    let (path, dotfiles) = (desk.house.path(file), desk.house.path("dotfiles"));
    std::fs::create_dir(&dotfiles).unwrap();
    std::fs::rename(&path, dotfiles.join("real")).unwrap();
    symlink("real", dotfiles.join("link")).unwrap();
    symlink(dotfiles.join("link"), &path).unwrap();
    let before = text(&path);
    desk.up("acme").await.unwrap();
    assert!(path.is_symlink() && dotfiles.join("link").is_symlink());
    assert!(text(&dotfiles.join("real")).contains("acme"));
    desk.provisioner.destroy("acme").await.unwrap();
    assert!(path.is_symlink() && dotfiles.join("link").is_symlink());
    assert_eq!(text(&dotfiles.join("real")), before);
}

#[tokio::test]
async fn behind_a_dangling_link_the_file_is_created_if_its_folder_exists() {
    let desk = Desk::new();
    let target = desk.house.path("dotfile");
    std::fs::remove_file(desk.kubeconfig()).unwrap();
    symlink("../dotfile", desk.kubeconfig()).unwrap();
    desk.up("acme").await.unwrap();
    assert!(desk.kubeconfig().is_symlink());
    assert!(text(&target).contains("acme"));
    assert_eq!(std::fs::metadata(&target).unwrap().permissions().mode() & 0o777, 0o600);
}

#[rstest]
#[case::of_the_user("kube/config")]
#[case::of_hosts("hosts")]
#[tokio::test]
async fn behind_a_link_into_a_missing_folder_nothing_is_created(#[case] file: &str) {
    let desk = Desk::new();
    let (path, target) = (desk.house.path(file), desk.house.path("unmounted/file"));
    std::fs::remove_file(&path).unwrap();
    symlink(&target, &path).unwrap();
    let told = desk.refused().await;
    assert!(told.contains(&format!("it is a symbolic link to {target}, whose folder is missing")), "{told}");
    assert!(
        told.contains(&format!("hint: make the folder of {target}, or remove the link {path}")),
        "{told}"
    );
    assert!(path.is_symlink() && !target.parent().unwrap().exists());
}

#[tokio::test]
async fn a_link_to_itself_is_refused() {
    let desk = Desk::new();
    std::fs::remove_file(desk.kubeconfig()).unwrap();
    symlink("config", desk.kubeconfig()).unwrap();
    let told = desk.refused().await;
    assert!(told.contains(desk.kubeconfig().as_str()) && told.contains("symbolic link"), "{told}");
}

#[test]
fn a_file_with_two_names_keeps_both() {
    let house = House::new();
    let (one, two) = (house.path("one"), house.path("two"));
    std::fs::write(&one, "before, and longer\n").unwrap();
    std::fs::hard_link(&one, &two).unwrap();
    for contents in ["after\n", "after that, much longer than before\n"] {
        assert!(rewrite(&one, contents).unwrap());
        assert_eq!((text(&one).as_str(), text(&two).as_str()), (contents, contents));
        assert_eq!(state(&one).0, state(&two).0);
    }
}

#[rstest]
#[case(0o600)]
#[case(0o664)]
#[case(0o640)]
fn the_mode_stays(#[case] mode: u32) {
    let house = House::new();
    let path = house.path("file");
    std::fs::write(&path, "before\n").unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
    assert!(rewrite(&path, "after\n").unwrap());
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777, mode);
}

/// `user::rw- user:4711:r-- group::--- mask::r-- other::---`, as the kernel keeps it (acl(5), `posix_acl_xattr.h`).
fn access_list() -> Vec<u8> {
    let nobody = u32::MAX;
    let entries: [(u16, u16, u32); 5] =
        [(1, 6, nobody), (2, 4, 4711), (4, 0, nobody), (0x10, 4, nobody), (0x20, 0, nobody)];
    let entry = |(tag, may, id): (u16, u16, u32)| {
        [&tag.to_le_bytes()[..], &may.to_le_bytes()[..], &id.to_le_bytes()[..]].concat()
    };
    [2_u32.to_le_bytes().to_vec(), entries.into_iter().flat_map(entry).collect()].concat()
}

#[test]
fn access_control_list_and_attributes_stay() {
    // Not every file system for temporary files supports extended attributes.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let path = Utf8Path::from_path(folder.path()).unwrap().join("config");
    std::fs::write(&path, "before\n").unwrap();
    let attributes = [("system.posix_acl_access", access_list()), ("user.note", b"mine".to_vec())];
    for (name, value) in &attributes {
        setxattr(path.as_std_path(), *name, value, XattrFlags::CREATE).unwrap();
    }
    let inode = state(&path).0;
    assert!(rewrite(&path, "after\n").unwrap());
    assert_ne!(state(&path).0, inode, "the file was written in place");
    for (name, value) in attributes {
        let mut found = vec![0; 256];
        let length = getxattr(path.as_std_path(), name, found.as_mut_slice()).unwrap();
        assert_eq!(found[..length], value, "{name}");
    }
}

#[test]
fn a_new_file_of_the_host_has_mode_644_and_one_of_a_user_has_mode_600() {
    let house = House::new();
    let (public, private) = (house.path("public"), house.path("private"));
    assert!(rewrite(&public, "x").unwrap());
    assert!(Foreign::read(&private).unwrap().write(b"x", Fresh::Private(&house.home)).unwrap());
    let mode = |path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(public), mode(private)), (0o644, 0o600));
}

#[test]
fn no_file_is_created_if_there_is_nothing_to_write() {
    let house = House::new();
    assert!(!rewrite(&house.path("file"), "").unwrap());
    assert!(!house.path("file").exists());
}

#[test]
fn a_file_too_large_for_a_kubeconfig_is_refused() {
    let house = House::new();
    let path = house.path("file");
    std::fs::File::create(&path).unwrap().set_len(1 << 40).unwrap();
    let error = Foreign::read(&path).unwrap_err();
    assert!(matches!(error.unfit(), Some(Unfit::TooLarge(_))), "{error}");
}

/// The process may write only 1 KiB to a file, so the write fails in the middle, as on a full disk.
#[rstest]
#[case::replaced(false)]
#[case::written_in_place(true)]
#[tokio::test]
async fn a_write_that_fails_in_the_middle_leaves_the_old_contents(#[case] in_place: bool) {
    let house = House::new();
    let (path, other) = (house.path("file"), house.path("other"));
    std::fs::write(&path, "before\n").unwrap();
    if in_place {
        std::fs::hard_link(&path, &other).unwrap();
    }
    let limited = format!("trap '' XFSZ; ulimit -f 1; exec {} {path}", env!("CARGO_BIN_EXE_writer"));
    let write = Command::within(Duration::from_secs(60), "bash").args(["-c", &limited]);
    let failure = Local.run(&write).await.unwrap_err().failure;
    assert!(
        matches!(&failure, Failure::Status { stderr, .. } if stderr.contains("File too large")),
        "{failure}"
    );
    assert_eq!(text(&path), "before\n");
    assert_eq!(other.exists(), in_place);
    assert_eq!(
        house.path("").read_dir_utf8().unwrap().count(),
        1 + usize::from(in_place),
        "a temporary file is left"
    );
}
