//! Searches the files of each instance, on the host and on its nodes, for the secrets of all other instances (C10).

use std::collections::{BTreeSet, HashSet};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use futures::future::join_all;
use k8s_openapi::api::core::v1::Secret as Object;
use kube::Api;
use kube::api::ListParams;
use provisioner::exec::Command;
use provisioner::home::Home;

use crate::audit::{Kernel, Search, Secret, Subject};
use crate::cluster::TestCluster;

use super::files::{self, Files};
use super::secrets::{Needles, in_object, private_keys};
use super::within;

/// The control of the search: files of an instance's folder in which it has to find the instance's own secrets. These
/// have the keys of its authorities as PEM; the kubeconfig has the administrator's key as base64 of PEM.
const OWN: [&str; 5] =
    ["pki/ca.key", "pki/etcd/ca.key", "pki/front-proxy-ca.key", "pki/sa.key", "tls/ca.key"];
const KUBECONFIG: &str = "kubeconfig";

/// Prints the files in the folders `$@` and on every tmpfs of a node, such as `/run`, `/tmp` and the volumes of pods in
/// memory, as one uncompressed tar archive. Exit code 1 means that a file changed while it was read, which is no error
/// here (tar(1), "Return value").
const READ: &str = r#"while read -r _ at type _; do [ "$type" = tmpfs ] && [ -d "$at" ] && set -- "$@" "$at"; done \
< /proc/mounts; tar --create --one-file-system --directory=/ -- "$@" 2>/dev/null || [ $? -eq 1 ]"#;
/// The folders that are read on VMs, which keep them on their own disk. Without programs, etcd's data and image stores.
const ON_DISK: [&str; 8] =
    ["/etc", "/home", "/opt", "/root", "/srv", "/var/lib/kubelet", "/var/log", "/var/tmp"];

/// Fills in the search of each subject. It stays `None` where files cannot be read, and for all subjects when one
/// secret is unknown, because that secret could not be found.
pub(super) async fn all(home: &Home, clusters: &[TestCluster], subjects: &mut [Subject]) {
    let folders: Vec<Utf8PathBuf> =
        clusters.iter().map(|cluster| home.instance(&cluster.inner().instance.name)).collect();
    let (on_nodes, read) =
        futures::join!(join_all(clusters.iter().map(kept_in)), join_all(clusters.iter().map(read_nodes)));
    let secrets = folders
        .iter()
        .zip(&*subjects)
        .zip(on_nodes)
        .map(|((folder, subject), on_nodes)| Some([secrets(folder, subject)?, on_nodes?].concat()));
    let Some(needles) = secrets.collect::<Option<Vec<_>>>().and_then(|secrets| Needles::of(&secrets)) else {
        return;
    };
    let names: Vec<String> = subjects.iter().map(|subject| subject.name.clone()).collect();
    let home = home.clone();
    let searched = tokio::task::spawn_blocking(move || {
        let one = |(own, (folder, texts)): (usize, (&Utf8PathBuf, &Option<Texts>))| {
            let mut search = search(&home, folder, own, &names, &needles).ok()?;
            for (place, text) in texts.as_ref()? {
                let owners = needles.found_in(text.as_slice()).ok()?.into_iter();
                let others = owners.filter(|owner| *owner != own);
                search.found.extend(others.map(|owner| (names[owner].clone(), place.clone())));
            }
            Some(search)
        };
        folders.iter().zip(&read).enumerate().map(one).collect::<Vec<_>>()
    });
    for (subject, search) in subjects.iter_mut().zip(searched.await.unwrap_or_default()) {
        subject.search = search;
    }
}

/// The files of each node: the node's name and the archive.
type Texts = Vec<(String, Vec<u8>)>;

/// The files of nodes that are not on the host: those in memory, and those on the disks of VMs. `None` when those of a
/// node cannot be read.
async fn read_nodes(cluster: &TestCluster) -> Option<Texts> {
    // The instance's folder has all files on the disks of containers.
    let on_disk = if cluster.inner().plan.engine.is_virtual() { ON_DISK.as_slice() } else { &[] };
    let read = cluster.nodes().iter().map(async |node| {
        let words = ["-c", READ, "sh"].into_iter().chain(on_disk.iter().copied());
        let read = Command::within(Duration::from_secs(30), "sh").args(words);
        let text = node.run(&read).await.ok()?.stdout;
        Some((format!("a file of {}", node.real_name()), text))
    });
    join_all(read).await.into_iter().collect()
}

/// The private keys and tokens on all nodes of a cluster and in its Secrets. `None` when those of a node or the Secrets
/// cannot be read.
async fn kept_in(cluster: &TestCluster) -> Option<Vec<Secret>> {
    let of_node = |files: Files| {
        let keys: Vec<Secret> = files.values().flat_map(|text| private_keys(text)).collect();
        let tokens = files.into_iter().filter(|(path, _)| path.ends_with("/token"));
        // Each node has at least the key of its kubelet.
        (!keys.is_empty())
            .then(|| keys.into_iter().chain(tokens.map(|(_, text)| Secret::new(text))).collect())
    };
    let objects: Api<Object> = Api::all(cluster.client());
    let objects = async { objects.list(&ListParams::default()).await.ok() };
    let (files, objects) = futures::join!(files::with_keys(cluster), within(&cluster.inner().plan, objects));
    let read = files?.into_iter().map(of_node).collect::<Option<Vec<Vec<Secret>>>>()?;
    let objects = objects?.items.into_iter().flat_map(|object| {
        in_object(object.type_.as_deref().unwrap_or_default(), &object.data.unwrap_or_default())
    });
    Some(read.into_iter().flatten().chain(objects).collect())
}

/// All secrets of an instance: keys, tokens, and the SSH keys of its VMs. `None` when one cannot be read.
fn secrets(folder: &Utf8Path, subject: &Subject) -> Option<Vec<Secret>> {
    let mut keys = Vec::new();
    walk(folder.join("vagrant"), &mut keys).ok()?;
    keys.retain(|file| file.file_name() == Some("private_key"));
    if subject.kernel == Kernel::Own && keys.len() < subject.nodes.len() {
        return None;
    }
    let own = OWN.iter().map(|file| folder.join(file)).chain(keys);
    let own = own.map(|file| fs::read_to_string(file).ok().map(Secret::new));
    let credentials = &subject.credentials;
    let shown = [
        credentials.administrator.as_ref().map(|shown| shown.key.clone()),
        credentials.service_account.clone(),
        credentials.bootstrap.clone(),
    ];
    own.chain(shown).collect()
}

fn search(
    home: &Home,
    folder: &Utf8Path,
    own: usize,
    names: &[String],
    needles: &Needles,
) -> io::Result<Search> {
    let (mut found, mut at_home) = (Vec::new(), BTreeSet::new());
    let mut read = HashSet::new();
    for path in kept(home, folder)? {
        let Some(file) = there(File::open(&path))? else { continue };
        let meta = file.metadata()?;
        if !read.insert((meta.dev(), meta.ino())) {
            continue; // another name of a file that was read
        }
        for owner in needles.found_in(file)? {
            if owner == own {
                at_home.extend(path.strip_prefix(folder).ok().map(Utf8Path::to_owned));
            } else {
                found.push((names[owner].clone(), path.to_string()));
            }
        }
    }
    let control_found = OWN.iter().chain([&KUBECONFIG]).all(|place| at_home.contains(Utf8Path::new(place)));
    Ok(Search { control_found, found })
}

/// The files that the host keeps of an instance: its folder with all that its container nodes have written, the events,
/// and the evidence of its failures. The images that all nodes share are read-only layers outside of that folder. The
/// user's merged kubeconfig is left out, because it has the keys of all instances by design.
fn kept(home: &Home, folder: &Utf8Path) -> io::Result<Vec<Utf8PathBuf>> {
    let mut files = Vec::new();
    walk(folder.to_owned(), &mut files)?;
    walk(home.events(), &mut files)?;
    let evidence = home.root().join("evidence");
    for entry in there(evidence.read_dir_utf8())?.into_iter().flatten() {
        let entry = entry?;
        if folder.file_name().is_some_and(|instance| is_evidence(entry.file_name(), instance)) {
            walk(entry.into_path(), &mut files)?;
        }
    }
    Ok(files)
}

/// Whether a folder has evidence of this instance: `acme-20261121T120000Z` is evidence of `acme`,
/// `acme-1-20261121T120000Z` is not. Pure.
fn is_evidence(name: &str, instance: &str) -> bool {
    let time = name.strip_prefix(instance).and_then(|rest| rest.strip_prefix('-'));
    time.is_some_and(|time| !time.contains('-'))
}

/// Adds all regular files at and below a path. Symbolic links are not followed: their targets are found by themselves,
/// or are not ours. Files that vanish meanwhile, such as rotated logs, are skipped.
fn walk(start: Utf8PathBuf, files: &mut Vec<Utf8PathBuf>) -> io::Result<()> {
    let mut left = vec![start];
    while let Some(path) = left.pop() {
        let Some(meta) = there(fs::symlink_metadata(&path))? else { continue };
        if meta.is_file() {
            files.push(path);
        } else if meta.is_dir() {
            for entry in there(path.read_dir_utf8())?.into_iter().flatten() {
                left.push(entry?.into_path());
            }
        }
    }
    Ok(())
}

/// `None` for a file that does not exist.
fn there<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        result => result.map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let needles = Needles::of(&[vec![Secret::new(mine)], vec![Secret::new(other)]]).unwrap();
        let names = ["acme", "globex"].map(str::to_owned);
        let searched = || search(&home, &acme, 0, &names, &needles).unwrap();
        let evidence = home.root().join("evidence");
        write(&evidence.join("acme-1-20261121T120000Z/plan.txt"), other);
        assert_eq!(searched(), Search { control_found: true, found: Vec::new() });
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
            assert_eq!(searched(), Search { control_found: true, found }, "{place}");
            write(&place, mine);
        }
        fs::remove_file(acme.join("tls/ca.key")).unwrap();
        assert_eq!(searched(), Search { control_found: false, found: Vec::new() });
    }
}
