//! Searches what this workstation keeps of each instance for the secrets of all others.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use futures::future::join_all;
use provisioner::exec::Command;
use provisioner::home::Home;

use crate::audit::{Search, Secret, Subject};
use crate::cluster::TestCluster;

use super::secrets::Needles;

/// What an instance's folder holds of its own, and where the search has to find it: that is its control. The keys of
/// its authorities are there as PEM, the administrator's as base64 of that.
const OWN: [&str; 5] =
    ["pki/ca.key", "pki/etcd/ca.key", "pki/front-proxy-ca.key", "pki/sa.key", "tls/ca.key"];
const KUBECONFIG: &str = "kubeconfig";

/// The logs of a virtual machine are in itself: all of them as they are, one behind the other. What changes while it is
/// read was still read (tar(1), "Return value").
const LOGS: &str = "tar --create --directory=/var/log . 2>/dev/null || [ $? -eq 1 ]";

/// Fills in the searches. One that cannot be made stays unknown, and so do all when a secret is not known: nobody
/// could find it.
pub(super) async fn all(home: &Home, clusters: &[TestCluster], subjects: &mut [Subject]) {
    let folders: Vec<Utf8PathBuf> =
        clusters.iter().map(|cluster| home.instance(&cluster.inner().instance.name)).collect();
    let secrets = folders.iter().zip(&*subjects).map(|(folder, subject)| secrets(folder, subject));
    let Some(needles) = secrets.collect::<Option<Vec<_>>>().and_then(|secrets| Needles::of(&secrets)) else {
        return;
    };
    let logs = join_all(clusters.iter().map(logs)).await;
    let names: Vec<String> = subjects.iter().map(|subject| subject.name.clone()).collect();
    let home = home.clone();
    let searched = tokio::task::spawn_blocking(move || {
        let one = |(own, (folder, logs)): (usize, (&Utf8PathBuf, &Option<Logs>))| {
            let mut search = search(&home, folder, own, &names, &needles).ok()?;
            for (place, text) in logs.as_ref()? {
                let owners = needles.found_in(text.as_slice()).ok()?.into_iter();
                let others = owners.filter(|owner| *owner != own);
                search.found.extend(others.map(|owner| (names[owner].clone(), place.clone())));
            }
            Some(search)
        };
        folders.iter().zip(&logs).enumerate().map(one).collect::<Vec<_>>()
    });
    for (subject, search) in subjects.iter_mut().zip(searched.await.unwrap_or_default()) {
        subject.search = search;
    }
}

/// Where logs are, and what is in them.
type Logs = Vec<(String, Vec<u8>)>;

/// The logs that are not on this workstation; nothing when those of a machine cannot be read.
async fn logs(cluster: &TestCluster) -> Option<Logs> {
    if !cluster.inner().plan.engine.is_virtual() {
        return Some(Logs::new()); // theirs are in the instance's folder
    }
    let read = cluster.nodes().iter().map(async |node| {
        let read = Command::within(Duration::from_secs(30), "sh").args(["-c", LOGS]);
        let text = node.run(&read).await.ok()?.stdout;
        Some((format!("/var/log of {}", node.real_name()), text))
    });
    join_all(read).await.into_iter().collect()
}

/// All that opens anything of an instance; of one of virtual machines their SSH keys, too.
fn secrets(folder: &Utf8Path, subject: &Subject) -> Option<Vec<Secret>> {
    let mut keys = Vec::new();
    walk(folder.join("vagrant"), &mut keys).ok()?;
    keys.retain(|file| file.file_name() == Some("private_key"));
    if subject.engine.is_virtual() && keys.len() < subject.nodes.len() {
        return None;
    }
    let own = OWN.iter().map(|file| folder.join(file)).chain(keys);
    let own = own.map(|file| fs::read_to_string(file).ok().map(Secret::new));
    let credentials = &subject.credentials;
    let shown = [
        credentials.administrator.as_ref().map(|shown| shown.key.clone()),
        credentials.etcd.as_ref().map(|shown| shown.key.clone()),
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
    for path in kept(home, folder)? {
        let Some(file) = there(File::open(&path))? else { continue };
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

/// The files that are kept of an instance: its folder, the events, and the evidence of its failures. Of its nodes their
/// logs, where all containers' output is: the rest is the file system of a machine of its own, with etcd's data and
/// images in it, and whether anybody else can see that is H8. The user's merged kubeconfig holds the keys of all by
/// design.
fn kept(home: &Home, folder: &Utf8Path) -> io::Result<Vec<Utf8PathBuf>> {
    let mut files = Vec::new();
    for entry in folder.read_dir_utf8()? {
        let path = entry?.into_path();
        if path.file_name() != Some("nodes") {
            walk(path, &mut files)?;
            continue;
        }
        for node in path.read_dir_utf8()? {
            walk(node?.path().join("var/log"), &mut files)?;
        }
    }
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

/// `acme-20261121T120000Z` is acme's, and not that of an instance whose name begins alike.
fn is_evidence(name: &str, instance: &str) -> bool {
    let time = name.strip_prefix(instance).and_then(|rest| rest.strip_prefix('-'));
    time.is_some_and(|time| !time.contains('-'))
}

/// All regular files at and below a path. A symbolic link leads to a file that is found by itself, or to none of ours.
/// What goes meanwhile, as logs do that are rotated, is gone.
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

fn there<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        result => result.map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The folder of an instance with one key for everything, and a kubeconfig with it.
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
    fn a_secret_of_the_other_is_found_wherever_it_is_kept_and_only_there() {
        let temporary = tempfile::tempdir().unwrap();
        let home = Home::at(Utf8Path::from_path(temporary.path()).unwrap());
        let (mine, other) = ("a secret of acme", "a secret of globex");
        let acme = instance(&home, "acme", mine);
        let needles = Needles::of(&[vec![Secret::new(mine)], vec![Secret::new(other)]]).unwrap();
        let names = ["acme", "globex"].map(str::to_owned);
        let searched = || search(&home, &acme, 0, &names, &needles).unwrap();
        let evidence = home.root().join("evidence");
        write(&acme.join("nodes/acme-cp-1/var/lib/etcd/db"), other);
        write(&evidence.join("acme-1-20261121T120000Z/plan.txt"), other);
        assert_eq!(searched(), Search { control_found: true, found: Vec::new() });
        for place in [
            acme.join("nodes/acme-cp-1/var/log/pods/a/0.log"),
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
