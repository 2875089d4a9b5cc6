//! Searches the files of each instance, on the host and on its nodes, for the secrets of all other instances (C10).

use std::collections::{BTreeSet, HashSet};
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use futures::future::join_all;
use provisioner::exec::Command;
use provisioner::home::Home;

use crate::audit::{Search, Subject};
use crate::cluster::TestCluster;

use super::files::Files;
use super::kept::{self, there};
use super::needles::{Hit, Needles};
use super::unpack;
use super::wanted::{self, KUBECONFIG, OWN};

/// Prints the files in the folders `$@` and on every tmpfs of a node, such as `/run`, `/tmp` and the volumes of pods in
/// memory, as one uncompressed tar archive. Exit code 1 means that a file changed while it was read, which is no error
/// here (tar(1), "Return value").
const READ: &str = r#"while read -r _ at type _; do [ "$type" = tmpfs ] && [ -d "$at" ] && set -- "$@" "$at"; done \
< /proc/mounts; tar --create --one-file-system --directory=/ -- "$@" 2>/dev/null || [ $? -eq 1 ]"#;
/// Prints the environments and command lines of all processes of a node, and the first MiB of each deleted file that they have
/// open. Processes end meanwhile, so errors do not count.
const PROCESSES: &str = r#"cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2>/dev/null
find /proc/[0-9]*/fd -lname '* (deleted)' -xtype f -exec head --quiet --bytes=1M '{}' + 2>/dev/null; true"#;
/// The folders that are read on VMs, which keep them on their own disk. Without programs, etcd's data and image stores.
const ON_DISK: [&str; 8] =
    ["/etc", "/home", "/opt", "/root", "/srv", "/var/lib/kubelet", "/var/log", "/var/tmp"];

/// Fills in the search of each subject. It stays `None` where files cannot be read, and for all subjects when one
/// secret is unknown, because that secret could not be found. `files` has the files with keys of each cluster's nodes.
pub(super) async fn all(
    home: &Home,
    clusters: &[TestCluster],
    files: Vec<Option<Vec<Files>>>,
    subjects: &mut [Subject],
) {
    let folders: Vec<Utf8PathBuf> =
        clusters.iter().map(|cluster| home.instance(&cluster.inner().instance.name)).collect();
    let (kept_in, read) = futures::join!(
        join_all(clusters.iter().zip(files).map(|(cluster, files)| wanted::kept_in(cluster, files))),
        join_all(clusters.iter().map(read_nodes))
    );
    let wanted = folders.iter().zip(&*subjects).zip(kept_in);
    let wanted = wanted.map(|((folder, subject), kept_in)| wanted::of(folder, subject, kept_in?));
    let Some(needles) = wanted.collect::<Option<Vec<_>>>().and_then(|wanted| Needles::of(&wanted)) else {
        return;
    };
    let names: Vec<String> = subjects.iter().map(|subject| subject.name.clone()).collect();
    let home = home.clone();
    let searched = tokio::task::spawn_blocking(move || {
        let one = |(own, (folder, texts)): (usize, (&Utf8PathBuf, &Option<Texts>))| {
            let mut search = search(&home, folder, own, &names, &needles).ok()?;
            for text in texts.as_ref()? {
                let mut hits = BTreeSet::new();
                let mut each = |content: &mut dyn Read| {
                    hits.append(&mut needles.found_in(content)?);
                    Ok(())
                };
                unpack::read_archive(&text.files, &mut each).ok()?;
                each(&mut text.processes.as_slice()).ok()?;
                let others = hits.into_iter().filter(|(owner, _)| *owner != own);
                others.for_each(|(owner, is_secret)| search.add(&names[owner], is_secret, &text.place));
            }
            Some(search)
        };
        folders.iter().zip(&read).enumerate().map(one).collect::<Vec<_>>()
    });
    for (subject, search) in subjects.iter_mut().zip(searched.await.unwrap_or_default()) {
        subject.search = search;
    }
}

/// What a node has that is not on the host.
struct NodeText {
    /// Where it is, in words.
    place: String,
    /// Its files in memory, and those on the disk of a VM, as an archive of tar.
    files: Vec<u8>,
    /// The environments and command lines of its processes, and deleted files that they have open.
    processes: Vec<u8>,
}

type Texts = Vec<NodeText>;

/// What the nodes have that is not on the host. `None` when that of a node cannot be read.
async fn read_nodes(cluster: &TestCluster) -> Option<Texts> {
    // The instance's folder has all files on the disks of containers.
    let on_disk = if cluster.inner().plan.engine.is_virtual() { ON_DISK.as_slice() } else { &[] };
    let read = cluster.nodes().iter().map(async |node| {
        let words = ["-c", READ, "sh"].into_iter().chain(on_disk.iter().copied());
        let read = Command::within(Duration::from_secs(30), "sh").args(words);
        let processes = Command::within(Duration::from_secs(30), "sh").args(["-c", PROCESSES]);
        let (files, processes) = futures::join!(node.run(&read), node.run(&processes));
        let place = format!("a file or a process of {}", node.real_name());
        Some(NodeText { place, files: files.ok()?.stdout, processes: processes.ok()?.stdout })
    });
    join_all(read).await.into_iter().collect()
}

fn search(
    home: &Home,
    folder: &Utf8Path,
    own: usize,
    names: &[String],
    needles: &Needles,
) -> io::Result<Search> {
    let (mut search, mut at_home) = (Search::default(), BTreeSet::new());
    let mut read = HashSet::new();
    for path in kept::all(home, folder)? {
        let Some(meta) = there(fs::symlink_metadata(&path))? else { continue };
        if !read.insert((meta.dev(), meta.ino())) {
            continue; // another name of a file that was read
        }
        let Some(hits) = there(hits(&path, meta.is_symlink(), needles))? else { continue };
        if hits.contains(&(own, true)) {
            at_home.extend(path.strip_prefix(folder).ok().map(Utf8Path::to_owned));
        }
        // Evidence and events tell of several instances, and so have traces of them, but no secrets.
        let is_data = path.starts_with(folder);
        let others = hits.into_iter().filter(|(owner, is_secret)| *owner != own && (*is_secret || is_data));
        others.for_each(|(owner, is_secret)| search.add(&names[owner], is_secret, path.as_str()));
    }
    search.control_found =
        OWN.iter().chain([&KUBECONFIG]).all(|place| at_home.contains(Utf8Path::new(place)));
    Ok(search)
}

/// What occurs in a file, also in its compressed content and its extended attributes, or in the target of a symbolic link.
fn hits(path: &Utf8Path, is_link: bool, needles: &Needles) -> io::Result<BTreeSet<Hit>> {
    if is_link {
        return needles.found_in(fs::read_link(path)?.as_os_str().as_bytes());
    }
    let mut hits = BTreeSet::new();
    unpack::read(File::open(path)?, |content| {
        hits.append(&mut needles.found_in(content)?);
        Ok(())
    })?;
    for value in kept::attributes(path)? {
        hits.append(&mut needles.found_in(value.as_slice())?);
    }
    Ok(hits)
}

#[cfg(test)]
mod tests {
    use super::super::needles::Wanted;
    use super::*;
    use crate::audit::Secret;

    /// Makes the folder of an instance, with this key in all of its files.
    fn instance(home: &Home, name: &str, key: &str) -> Utf8PathBuf {
        let folder = home.instance(name);
        for place in OWN.iter().chain([&KUBECONFIG]) {
            write(&folder.join(place), key);
        }
        folder
    }

    fn write(path: &Utf8Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn a_secret_of_the_other_instance_is_found_in_each_place_that_is_searched() {
        let temporary = tempfile::tempdir().unwrap();
        let home = Home::at(Utf8Path::from_path(temporary.path()).unwrap());
        let (mine, other) = ("a secret of acme", "a secret of globex");
        let acme = instance(&home, "acme", mine);
        let wanted = [mine, other].map(|text| Wanted {
            secrets: vec![Secret::new(text)],
            traces: vec![format!("a trace with {text}").into_bytes()],
        });
        let needles = Needles::of(&wanted).unwrap();
        let names = ["acme", "globex"].map(str::to_owned);
        let searched = || search(&home, &acme, 0, &names, &needles).unwrap();
        let evidence = home.root().join("evidence");
        write(&evidence.join("acme-1-20261121T120000Z/plan.txt"), other);
        let clean = || Search { control_found: true, ..Search::default() };
        assert_eq!(searched(), clean());
        for place in [
            acme.join("nodes/acme-cp-1/var/log/pods/a/0.log"),
            acme.join("nodes/acme-cp-1/var/lib/etcd/member/snap/db"),
            acme.join("nodes/acme-cp-1/var/lib/kubelet/pods/1/volumes/kubernetes.io~empty-dir/data/file"),
            acme.join("nodes/acme-cp-1/overlays/opt/upper/x/y"),
            acme.join("snapshots/one/etcd.db"),
            acme.join("kubeconfig"),
            evidence.join("acme-20261121T120000Z/plan.txt"),
            home.events(),
        ] {
            write(&place, &format!("{mine}, {other}"));
            let found = vec![("globex".to_owned(), place.to_string())];
            assert_eq!(searched(), Search { found, ..clean() }, "{place}");
            write(&place, mine);
        }
        let (link, file) = (acme.join("nodes/link"), acme.join("nodes/file"));
        std::os::unix::fs::symlink(other, &link).unwrap();
        assert_eq!(searched().found, [("globex".to_owned(), link.to_string())], "the target of a link");
        fs::remove_file(&link).unwrap();
        write(&file, "");
        let flags = rustix::fs::XattrFlags::empty();
        rustix::fs::setxattr(file.as_std_path(), "user.key", other.as_bytes(), flags).unwrap();
        assert_eq!(searched().found, [("globex".to_owned(), file.to_string())], "an extended attribute");
        fs::remove_file(&file).unwrap();
        fs::remove_file(acme.join("tls/ca.key")).unwrap();
        assert_eq!(searched(), Search::default());
    }

    #[test]
    fn a_trace_is_no_secret_and_counts_in_the_instances_own_folder_only() {
        let temporary = tempfile::tempdir().unwrap();
        let home = Home::at(Utf8Path::from_path(temporary.path()).unwrap());
        let acme = instance(&home, "acme", "a secret of acme");
        let trace = "a trace of globex";
        let own = Wanted { secrets: vec![Secret::new("a secret of acme")], ..Wanted::default() };
        let other = Wanted { traces: vec![trace.as_bytes().to_vec()], ..Wanted::default() };
        let needles = Needles::of(&[own, other]).unwrap();
        let searched = || search(&home, &acme, 0, &["acme", "globex"].map(str::to_owned), &needles).unwrap();
        write(&home.events(), trace);
        assert_eq!(searched(), Search { control_found: true, ..Search::default() });
        let place = acme.join("nodes/acme-cp-1/var/lib/copy.db");
        write(&place, trace);
        assert_eq!(
            (searched().found, searched().traces),
            (vec![], vec![("globex".to_owned(), place.to_string())])
        );
    }
}
