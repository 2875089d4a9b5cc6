//! An import restores exactly what was exported. A file that is damaged or would do harm leaves the cache unchanged.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io::{Cursor, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use camino::{Utf8Path, Utf8PathBuf};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use tar::{Archive, Builder, EntryType, Header as TarHeader};

use super::super::recipe::Recipe;
use super::super::{Assets, AssetsError};
use super::{ArchiveError, HEADER, Imported, LIST, Output, Stop, header, pack};
use crate::error::Hint;
use crate::events::Events;
use crate::exec::{Local, Scripted};
use crate::request::{KUBERNETES_VERSION, KUBERNETES_VERSIONS, Provider};

/// An entry of an archive: its header, its path and its contents.
type TarEntry = (TarHeader, String, Vec<u8>);

/// A folder, and the assets of a cache in it.
struct Desk {
    folder: tempfile::TempDir,
    assets: Assets,
}

impl Desk {
    fn empty() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let cache = Utf8Path::from_path(folder.path()).unwrap().join("cache");
        Self { assets: Assets::in_cache(cache), folder }
    }

    /// A cache with a small node image and a box.
    fn built() -> Self {
        let desk = Self::empty();
        let recipe = Recipe::of(KUBERNETES_VERSION).unwrap();
        let (root, store) = (recipe.root.to_string(), recipe.store.to_string());
        desk.put(&format!("{root}/usr/bin/su"), "a program", 0o4755);
        desk.put(&format!("{root}/etc/shadow"), "a secret", 0o640);
        desk.put(&format!("{root}/etc/empty"), "", 0o644);
        desk.put(&format!("{root}/usr/share/Főtanúsítvány with blanks.crt"), "a certificate", 0o644);
        let image = desk.assets.find(KUBERNETES_VERSION);
        assert_eq!(image, None, "without a store there is no node image");
        let root = desk.assets.folder().join(root);
        fs::hard_link(root.join("usr/bin/su"), root.join("usr/bin/twin")).unwrap();
        symlink("/usr//lib/./x", root.join("lib")).unwrap();
        desk.put(&format!("{}/{}/{}", recipe.root, "a".repeat(90), "b".repeat(90)), "deep", 0o644);
        fs::create_dir(root.join("tmp")).unwrap();
        fs::set_permissions(root.join("tmp"), Permissions::from_mode(0o1777)).unwrap();
        desk.put(&format!("{store}/meta.db"), &"a database ".repeat(9), 0o600);
        let node_box = recipe.node_box(Provider::Libvirt).to_string();
        for (file, text) in [
            ("box.img", "a disk"),
            ("metadata.json", "{}"),
            ("Vagrantfile", ""),
            ("box.json", "names /another/cache"),
            ("node.box", "the disk once more"),
        ] {
            desk.put(&format!("{node_box}/{file}"), text, 0o644);
        }
        desk
    }

    fn put(&self, path: &str, text: &str, mode: u32) {
        let path = self.assets.folder().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    }

    fn path(&self, name: &str) -> Utf8PathBuf {
        Utf8Path::from_path(self.folder.path()).unwrap().join(name)
    }

    async fn export(&self, name: &str, provider: Option<Provider>) -> Vec<u8> {
        let path = self.path(name);
        let to = Output::File(path.clone());
        self.assets.export(KUBERNETES_VERSION, provider, to, &Events::default()).await.unwrap();
        fs::read(path).unwrap()
    }

    async fn import(&self, bytes: &[u8]) -> Result<Imported, AssetsError> {
        let from = Box::new(Cursor::new(bytes.to_vec()));
        self.assets.import(from, "file.tgz", &Local, &Events::default()).await
    }

    /// Imports a file that must be refused, and checks that the cache is unchanged.
    async fn refuse(&self, bytes: &[u8]) -> ArchiveError {
        let refused = self.import(bytes).await.expect_err("it is refused");
        self.is_untouched();
        let AssetsError::Archive(error) = refused else { panic!("{refused:?}") };
        error
    }

    fn is_untouched(&self) {
        let shelves = ["root", "store", "boxes"].map(|kind| self.assets.folder().join(kind));
        let left: Vec<_> =
            shelves.iter().filter_map(|it| fs::read_dir(it).ok()).flatten().flatten().collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

/// Everything of a tree that an import must restore: by path, the type with mode, owner and time, the inode's first
/// name, and the contents.
fn tree(folder: &Utf8Path) -> BTreeMap<String, String> {
    let (mut found, mut names) = (BTreeMap::new(), BTreeMap::new());
    let mut left = vec![folder.to_owned()];
    while let Some(path) = left.pop() {
        let meta = fs::symlink_metadata(&path).unwrap();
        let name = path.strip_prefix(folder).unwrap().to_string();
        let what = match () {
            () if meta.is_dir() => {
                let mut below: Vec<_> =
                    path.read_dir_utf8().unwrap().map(|it| it.unwrap().into_path()).collect();
                below.sort();
                left.extend(below.into_iter().rev());
                String::new()
            }
            () if meta.is_symlink() => path.read_link_utf8().unwrap().to_string(),
            () => {
                let twin = names.entry(meta.ino()).or_insert_with(|| name.clone()).clone();
                format!("{twin}: {}", fs::read_to_string(&path).unwrap())
            }
        };
        let owner = format!("{:o} {} {} {}", meta.mode(), meta.uid(), meta.gid(), meta.mtime());
        // The folder of an artefact itself is a new one.
        found.insert(name.clone(), if name.is_empty() { what } else { format!("{owner} {what}") });
    }
    found
}

/// The same file with its tar changed.
fn rebuilt(bytes: &[u8], change: impl FnOnce(&mut Vec<TarEntry>)) -> Vec<u8> {
    let mut archive = Archive::new(GzDecoder::new(bytes));
    let entries = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let path = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
        let (header, mut text) = (entry.header().clone(), Vec::new());
        entry.read_to_end(&mut text).unwrap();
        (header, path, text)
    });
    let mut entries: Vec<_> = entries.collect();
    change(&mut entries);
    let mut tar = Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (mut header, path, text) in entries {
        header.set_size(text.len() as u64);
        if path.len() > 100 {
            tar.append_data(&mut header, path, text.as_slice()).unwrap();
            continue;
        }
        // Set literally, because the crate would refuse it.
        let name = &mut header.as_old_mut().name;
        name.fill(0);
        name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_cksum();
        tar.append(&header, text.as_slice()).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap()
}

/// A small file of the right recipe: the header, two folders, one file, and no list.
fn small(then: impl FnOnce(&mut Vec<TarEntry>)) -> Vec<u8> {
    let recipe = Recipe::of(KUBERNETES_VERSION).unwrap();
    let text = serde_json::to_vec(&header(recipe, None)).unwrap();
    let mut tar = Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    tar.append_data(&mut plain(EntryType::Regular, text.len()), HEADER, text.as_slice()).unwrap();
    for folder in ["root", "root/etc"] {
        tar.append_data(&mut plain(EntryType::Directory, 0), folder, std::io::empty()).unwrap();
    }
    tar.append_data(&mut plain(EntryType::Regular, 1), "root/etc/hosts", b"x".as_slice()).unwrap();
    rebuilt(&tar.into_inner().unwrap().finish().unwrap(), then)
}

fn plain(kind: EntryType, size: usize) -> TarHeader {
    let mut header = TarHeader::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(0o755);
    header.set_uid(rustix::process::geteuid().as_raw().into());
    header.set_gid(rustix::process::getegid().as_raw().into());
    header.set_mtime(1);
    header.set_size(size as u64);
    header
}

fn link(kind: EntryType, to: &str) -> TarHeader {
    let mut header = plain(kind, 0);
    header.set_link_name_literal(to).unwrap();
    header
}

/// The header of a file, changed.
fn with_header(bytes: &[u8], change: impl FnOnce(&mut serde_json::Value)) -> Vec<u8> {
    rebuilt(bytes, |entries| {
        let mut json = serde_json::from_slice(&entries[0].2).unwrap();
        change(&mut json);
        entries[0].2 = serde_json::to_vec(&json).unwrap();
    })
}

#[tokio::test]
async fn an_import_restores_the_exported_files_with_modes_links_and_times() {
    let (from, to) = (Desk::built(), Desk::empty());
    let root = from.assets.find(KUBERNETES_VERSION).unwrap().root;
    symlink("y".repeat(150), root.join("long-link")).unwrap();
    let imported = to.import(&from.export("file.tgz", None).await).await.unwrap();
    assert_eq!(imported.kubernetes, KUBERNETES_VERSION);
    let (there, here) = (from.assets.find(KUBERNETES_VERSION).unwrap(), to.assets.find(KUBERNETES_VERSION));
    let here = here.expect("an imported node image counts as built");
    assert_eq!(tree(&here.root), tree(&there.root));
    assert_eq!(tree(&here.containerd_store), tree(&there.containerd_store));
    assert_eq!(fs::metadata(&here.root).unwrap().mode() & 0o7777, 0o755);
    assert!(tree(&here.root)["usr/bin/twin"].contains("usr/bin/su: a program"));
    assert_eq!(imported.parts.len(), 2);
}

#[tokio::test]
async fn the_catalogue_of_an_imported_box_has_its_new_path() {
    let (from, to) = (Desk::built(), Desk::empty());
    let file = from.export("file.tgz", Some(Provider::Libvirt)).await;
    let imported = to.import(&file).await.unwrap();
    assert_eq!(imported.provider, Some(Provider::Libvirt));
    let node_box = to.assets.find_box(KUBERNETES_VERSION, Provider::Libvirt).unwrap();
    let catalogue = fs::read_to_string(&node_box.catalogue).unwrap();
    let archive = node_box.catalogue.with_file_name("node.box");
    assert!(catalogue.contains(&format!("file://{archive}")), "{catalogue}");
    let mut packed = Archive::new(fs::File::open(archive).unwrap());
    let names = packed.entries().unwrap().map(|it| it.unwrap().path().unwrap().display().to_string());
    assert_eq!(names.collect::<Vec<_>>(), ["box.img", "metadata.json", "Vagrantfile"]);
    assert_eq!(fs::read_to_string(node_box.disk).unwrap(), "a disk");
}

#[tokio::test]
async fn two_exports_of_the_same_assets_are_the_same_file_and_its_checksum_is_reported() {
    let desk = Desk::built();
    let first = desk.export("one.tgz", None).await;
    let to = Output::File(desk.path("two.tgz"));
    let told = desk.assets.export(KUBERNETES_VERSION, None, to, &Events::default()).await.unwrap();
    assert_eq!(fs::read(desk.path("two.tgz")).unwrap(), first);
    assert_eq!(told.bytes, first.len() as u64);
    let sum = sha2::Digest::finalize(sha2::Digest::chain_update(sha2::Sha256::default(), &first));
    assert_eq!(told.sha256, super::entry::hex(&sum));
}

#[tokio::test]
async fn an_import_of_cached_assets_reads_only_the_header() {
    let desk = Desk::built();
    let file = desk.export("file.tgz", None).await;
    // The header is enough to see that: the remainder need not have arrived.
    let imported = desk.import(&file[..file.len() / 2]).await.unwrap();
    assert_eq!(imported.parts, Vec::<String>::new());
}

#[tokio::test]
async fn an_import_adds_a_missing_store_and_leaves_the_existing_root() {
    let (from, to) = (Desk::built(), Desk::empty());
    let recipe = Recipe::of(KUBERNETES_VERSION).unwrap();
    to.put(&format!("{}/mine", recipe.root), "untouched", 0o644);
    let imported = to.import(&from.export("file.tgz", None).await).await.unwrap();
    assert_eq!(imported.parts, [recipe.store.to_string()]);
    let image = to.assets.find(KUBERNETES_VERSION).unwrap();
    assert_eq!(fs::read_dir(&image.root).unwrap().count(), 1);
}

#[tokio::test]
async fn a_file_truncated_at_any_place_is_refused() {
    let (from, to) = (Desk::built(), Desk::empty());
    let file = from.export("file.tgz", None).await;
    assert!(matches!(to.refuse(&[]).await, ArchiveError::Foreign { why, .. } if why == "it is empty"));
    for end in [2, 10, 100, file.len() / 2, file.len() - 100, file.len() - 9, file.len() - 8, file.len() - 1]
    {
        let refused = to.refuse(&file[..end]).await;
        assert!(matches!(refused, ArchiveError::Damaged { .. }), "{end}: {refused}");
        assert!(refused.hint().unwrap().contains("sha256sum"));
    }
}

#[tokio::test]
async fn one_changed_bit_is_refused_or_the_imported_files_are_the_same() {
    let from = Desk::built();
    let file = from.export("file.tgz", None).await;
    let original = from.assets.find(KUBERNETES_VERSION).unwrap();
    let (root, store) = (tree(&original.root), tree(&original.containerd_store));
    let (mut tried, mut same) = (0, Vec::new());
    // Every part of the file, and its last bytes one by one: gzip's own checksum.
    for at in (0..file.len()).step_by(23).chain(file.len() - 8..file.len()) {
        tried += 1;
        let mut changed = file.clone();
        changed[at] ^= 1 << (tried % 8);
        let to = Desk::empty();
        match to.import(&changed).await {
            Err(_) => to.is_untouched(),
            // For instance where packing has a choice: zeros are copied from one of many places.
            Ok(_) => {
                let image = to.assets.find(KUBERNETES_VERSION).unwrap();
                assert_eq!((tree(&image.root), tree(&image.containerd_store)), (root.clone(), store.clone()));
                same.push(at);
            }
        }
    }
    assert!(same.len() < tried / 2, "{same:?} of {tried}");
}

#[tokio::test]
async fn a_change_that_gzip_does_not_notice_is_reported_with_the_name_of_the_entry() {
    let (from, to) = (Desk::built(), Desk::empty());
    let file = from.export("file.tgz", None).await;
    let names = |entry: &str| format!("{entry} is not what was exported");
    fn shadow(entries: &mut [TarEntry]) -> &mut TarEntry {
        entries.iter_mut().find(|(_, path, _)| path == "root/etc/shadow").unwrap()
    }
    let contents = rebuilt(&file, |entries| shadow(entries).2[0] = b'A');
    let mode = rebuilt(&file, |entries| shadow(entries).0.set_mode(0o644));
    for changed in [contents, mode] {
        let refused = to.refuse(&changed).await.to_string();
        assert!(refused.ends_with(&names("root/etc/shadow")), "{refused}");
    }
    let header = with_header(&file, |json| json["homelab"] = "9.9.9".into());
    assert!(to.refuse(&header).await.to_string().ends_with(&names(HEADER)));
}

#[tokio::test]
async fn a_missing_entry_an_extra_one_and_a_missing_list_are_named() {
    let (from, to) = (Desk::built(), Desk::empty());
    let file = from.export("file.tgz", None).await;
    let named = |path: &'static str| move |entry: &TarEntry| entry.1 == path;
    let missing = rebuilt(&file, |entries| entries.retain(|it| !named("root/etc/shadow")(it)));
    let error = to.refuse(&missing).await;
    assert!(matches!(&error, ArchiveError::Missing { entry, .. } if entry == "root/etc/shadow"), "{error}");
    let part = rebuilt(&file, |entries| entries.retain(|(_, path, _)| !path.starts_with("store")));
    let error = to.refuse(&part).await;
    assert!(matches!(&error, ArchiveError::Missing { entry, .. } if entry.starts_with("store")), "{error}");
    let list = rebuilt(&file, |entries| drop(entries.pop()));
    let error = to.refuse(&list).await;
    assert!(matches!(&error, ArchiveError::Missing { entry, .. } if entry == LIST), "{error}");
    let extra = |path: &str, at: usize| {
        rebuilt(&file, |entries| {
            entries
                .insert(entries.len() - at, (plain(EntryType::Regular, 1), path.to_owned(), b"x".to_vec()));
        })
    };
    for (path, at) in [("root/etc/more", 1), ("behind", 0), ("tools/go", 1)] {
        let error = to.refuse(&extra(path, at)).await;
        assert!(matches!(&error, ArchiveError::Extra { entry, .. } if entry == path), "{error}");
    }
    let behind = [file.as_slice(), b"more"].concat();
    let error = to.refuse(&behind).await;
    assert!(matches!(&error, ArchiveError::Extra { .. }), "{error}");
}

#[tokio::test]
async fn an_entry_that_would_leave_its_folder_is_refused_before_anything_is_written_there() {
    let to = Desk::empty();
    let outside = to.path("outside");
    fs::create_dir(&outside).unwrap();
    let file = || plain(EntryType::Regular, 1);
    let escape = || (link(EntryType::Symlink, outside.as_str()), "root/out".to_owned(), Vec::new());
    let cases: Vec<(&str, Vec<TarEntry>)> = vec![
        ("leads out", vec![(file(), "root/../../../outside/x".to_owned(), b"x".to_vec())]),
        ("leads out", vec![(file(), "../x".to_owned(), b"x".to_vec())]),
        ("leads out", vec![(file(), outside.join("x").to_string(), b"x".to_vec())]),
        ("leads out", vec![(file(), "root//x".to_owned(), b"x".to_vec())]),
        ("leads out", vec![(file(), "root/./x".to_owned(), b"x".to_vec())]),
        ("in a folder that", vec![escape(), (file(), "root/out/x".to_owned(), b"x".to_vec())]),
        ("in a folder that", vec![(file(), "root/etc/hosts/x".to_owned(), b"x".to_vec())]),
        ("in a folder that", vec![(file(), "store/x".to_owned(), b"x".to_vec())]),
        ("occurs twice", vec![escape(), (file(), "root/out".to_owned(), b"x".to_vec())]),
        ("occurs twice", vec![(file(), "root/etc/hosts".to_owned(), b"y".to_vec())]),
        ("hard link", vec![(link(EntryType::Link, "/etc/passwd"), "root/x".to_owned(), Vec::new())]),
        ("hard link", vec![(link(EntryType::Link, "root/../../x"), "root/x".to_owned(), Vec::new())]),
        ("not a folder", vec![(file(), "store".to_owned(), b"x".to_vec())]),
        ("of a kind", vec![(plain(EntryType::Fifo, 0), "root/x".to_owned(), Vec::new())]),
        ("of a kind", vec![(plain(EntryType::Block, 0), "root/x".to_owned(), Vec::new())]),
    ];
    for (why, entries) in cases {
        let path = entries.last().unwrap().1.clone();
        let refused = to.refuse(&small(|all| all.extend(entries))).await;
        assert!(
            matches!(&refused, ArchiveError::Unsafe { entry, .. } if *entry == path),
            "{path}: {refused}"
        );
        assert!(refused.to_string().contains(why), "{refused}");
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 0, "{path}");
    }
}

#[tokio::test]
async fn a_device_that_no_node_has_is_refused() {
    let to = Desk::empty();
    let mut disk = plain(EntryType::Char, 0);
    disk.set_device_major(1).unwrap();
    disk.set_device_minor(1).unwrap(); // /dev/mem
    let refused = to.refuse(&small(|all| all.push((disk, "root/mem".to_owned(), Vec::new())))).await;
    assert!(refused.to_string().ends_with("root/mem is a device that no node has"), "{refused}");
}

#[tokio::test]
async fn a_file_that_is_no_export_is_refused_with_the_reason() {
    let to = Desk::empty();
    let gzipped = |text: &[u8]| {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        std::io::Write::write_all(&mut gzip, text).unwrap();
        gzip.finish().unwrap()
    };
    let other = {
        let mut tar = Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        tar.append_data(&mut plain(EntryType::Regular, 1), "notes.txt", b"x".as_slice()).unwrap();
        tar.into_inner().unwrap().finish().unwrap()
    };
    for (bytes, why) in [
        (b"just a text".to_vec(), "it is not gzipped"),
        (gzipped(&[b'x'; 2000]), ""),
        (gzipped(&[0; 1024]), "there is nothing in it"),
        (other, "it begins with notes.txt"),
        (rebuilt(&small(|_| {}), |all| all[0].2 = b"{".to_vec()), "its header"),
        (rebuilt(&small(|_| {}), |all| all[0].2 = br#"{"format":1}"#.to_vec()), "its header"),
    ] {
        let refused = to.refuse(&bytes).await;
        assert!(matches!(&refused, ArchiveError::Foreign { .. }), "{refused:?}");
        assert!(refused.to_string().contains(why), "{refused}");
        assert!(refused.hint().is_some());
    }
}

#[tokio::test]
async fn an_export_for_other_processors_of_another_recipe_or_another_format_is_refused_with_both() {
    let (from, to) = (Desk::built(), Desk::empty());
    let file = from.export("file.tgz", None).await;
    let arm = with_header(&file, |json| json["architecture"] = "aarch64".into());
    let refused = to.refuse(&arm).await.to_string();
    assert!(refused.contains("aarch64") && refused.contains(std::env::consts::ARCH), "{refused}");
    let older = with_header(&file, |json| {
        json["homelab"] = "0.0.9".into();
        json["parts"][1]["digest"] = "0".repeat(64).into();
    });
    let refused = to.refuse(&older).await.to_string();
    let ours = Recipe::of(KUBERNETES_VERSION).unwrap().store.to_string();
    for part in ["0.0.9", "store/0000000000000000", env!("CARGO_PKG_VERSION"), &ours] {
        assert!(refused.contains(part), "{part}: {refused}");
    }
    let unknown = with_header(&file, |json| json["kubernetes"] = "v1.20.0".into());
    let refused = to.refuse(&unknown).await.to_string();
    assert!(refused.contains("v1.20.0") && refused.contains(KUBERNETES_VERSIONS[1]), "{refused}");
    let format = with_header(&file, |json| json["format"] = 2.into());
    let refused = to.refuse(&format).await;
    assert!(matches!(&refused, ArchiveError::Format { found: 2, .. }), "{refused}");
    let less = with_header(&file, |json| drop(json["parts"].as_array_mut().unwrap().pop()));
    assert!(matches!(to.refuse(&less).await, ArchiveError::Recipe { has, .. } if has == "nothing"));
}

#[tokio::test]
async fn a_disk_that_is_too_small_or_full_is_reported() {
    let (from, to) = (Desk::built(), Desk::empty());
    let file = from.export("file.tgz", None).await;
    let huge = with_header(&file, |json| json["parts"][0]["bytes"] = u64::MAX.into());
    let refused = to.import(&huge).await.unwrap_err();
    assert!(matches!(refused, AssetsError::Disk { .. }), "{refused}");
    to.is_untouched();
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let to = Output::Stream(Box::new(full));
    let refused = from.assets.export(KUBERNETES_VERSION, None, to, &Events::default()).await.unwrap_err();
    assert!(refused.hint().unwrap().contains("assets prune"), "{refused:?}");
}

#[tokio::test]
async fn an_export_replaces_regular_files_only() {
    let desk = Desk::built();
    let there = desk.path("there");
    fs::write(&there, "an older export").unwrap();
    assert!(desk.export("there", None).await.len() > 100);
    let linked = desk.path("link");
    symlink(&there, &linked).unwrap();
    for path in [Utf8Path::new("/dev/null"), &linked, &desk.path(".")] {
        let to = Output::File(path.to_owned());
        let refused = desk.assets.export(KUBERNETES_VERSION, None, to, &Events::default()).await.unwrap_err();
        assert!(refused.to_string().starts_with("replace "), "{refused}");
    }
    assert!(fs::symlink_metadata(&linked).unwrap().is_symlink());
}

#[tokio::test]
async fn an_export_that_is_stopped_leaves_no_file() {
    let desk = Desk::built();
    let recipe = Recipe::of(KUBERNETES_VERSION).unwrap();
    let folder = desk.assets.folder().join(recipe.root.to_string());
    let job = pack::Job {
        parts: vec![(recipe.root.clone(), folder)],
        header: header(recipe, None),
        events: Events::default(),
    };
    let stop = Stop::default();
    stop.0.store(true, std::sync::atomic::Ordering::Relaxed);
    let stopped = job.run(Output::File(desk.path("file.tgz")), &stop).unwrap_err();
    assert!(matches!(stopped, ArchiveError::Stopped));
    let left: Vec<_> = fs::read_dir(desk.folder.path()).unwrap().map(|it| it.unwrap().file_name()).collect();
    assert_eq!(left, ["cache"]);
}

#[tokio::test]
async fn an_export_of_unbuilt_assets_is_refused_with_the_command_that_builds_them() {
    let desk = Desk::empty();
    let to = || Output::File(desk.path("file.tgz"));
    let refused = desk.assets.export(KUBERNETES_VERSION, None, to(), &Events::default()).await.unwrap_err();
    assert!(refused.hint().unwrap().contains("homelab assets build"), "{refused}");
    let built = Desk::built();
    let provider = Some(Provider::Virtualbox);
    let refused =
        built.assets.export(KUBERNETES_VERSION, provider, to(), &Events::default()).await.unwrap_err();
    assert!(refused.hint().unwrap().ends_with("--box virtualbox`"), "{refused:?}");
    assert!(!desk.path("file.tgz").exists());
}

#[tokio::test]
async fn an_import_that_fails_runs_no_command() {
    let (from, to) = (Desk::built(), Desk::empty());
    let file = from.export("file.tgz", Some(Provider::Libvirt)).await;
    let from = Box::new(Cursor::new(file[..file.len() - 20].to_vec()));
    let nothing = Scripted::new([]);
    to.assets.import(from, "-", &nothing, &Events::default()).await.unwrap_err();
    to.is_untouched();
}
