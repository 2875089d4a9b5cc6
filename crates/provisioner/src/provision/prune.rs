//! Finds the nodes on this host that use artefacts of the cache: containers and VMs of all homes, running or not.
//!
//! It asks the host, not the registry, because other homes have registries of their own. If a source cannot be asked,
//! the result says so, and every artefact that a user of this source could have is kept.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::time::Duration;

use camino::Utf8Path;

use crate::assets::{AssetsError, Kind, Pruned, UnreadSource, User, Users};
use crate::exec::{Command, CommandError, Failure, Runner};

use super::Provisioner;

/// The artefacts that containers are started from.
const OF_CONTAINERS: [Kind; 2] = [Kind::Root, Kind::Store];
/// The libvirt storage pool with the disks of all homes' VMs.
const POOL: &str = "homelab";
/// A part of the names of base images in that pool. A base image is a copy of a box.
const BASE: &str = "_vagrant_box_image_";

impl Provisioner {
    /// Removes the artefacts that no recipe of this version makes and no node on this host uses. With `is_dry` it only
    /// reports what it would remove.
    ///
    /// # Errors
    /// [`AssetsError::Busy`] while another process builds assets or starts nodes; nothing is removed then.
    pub async fn prune_assets(&self, is_dry: bool) -> Result<Pruned, AssetsError> {
        let users = users(self.runner.as_ref());
        if is_dry {
            return self.assets.prunable(&users.await);
        }
        self.assets.prune(users).await
    }
}

/// All possible users of artefacts on this host: mounts, containers, disks, VMs.
async fn users(host: &dyn Runner) -> Users {
    let mut users = mounts(Utf8Path::new("/proc"));
    for more in [containers(host).await, libvirt(host).await, virtualbox(host).await] {
        match more {
            Ok(found) => users.found.extend(found),
            Err(unjudged) => users.unjudged.push(unjudged),
        }
    }
    users
}

/// The mounts in every mount namespace. They include the overlay's lower layers of each running node, of all homes.
fn mounts(proc: &Utf8Path) -> Users {
    let mut users = Users::default();
    let Ok(entries) = proc.read_dir_utf8() else {
        let why = format!("{proc} cannot be read: mounts are not known");
        return Users { unjudged: vec![UnreadSource { why, kinds: Kind::ALL.to_vec() }], ..users };
    };
    let mut texts = BTreeMap::new();
    for entry in entries.flatten() {
        let process = entry.file_name();
        if !process.starts_with(|digit: char| digit.is_ascii_digit()) {
            continue;
        }
        match namespace_and_mounts(entry.path()) {
            Ok((namespace, text)) => drop(texts.entry(namespace).or_insert((process.to_owned(), text))),
            // The process ended while it was read.
            Err(error) if error.kind() == io::ErrorKind::NotFound || is_ended(&error) => {}
            // A process of the host itself with more rights than ours; it is not in a node.
            Err(_) if !is_contained(entry.path()) => {}
            Err(error) => {
                let why = format!("the mounts of process {process} cannot be read: {error}");
                users.unjudged.push(UnreadSource { why, kinds: OF_CONTAINERS.to_vec() });
            }
        }
    }
    for (process, text) in texts.into_values() {
        let lines = text.lines().filter(|line| line.contains("lowerdir=") || line.contains("/root/"));
        let named = lines.map(|line| User {
            name: format!("a mount at {} (seen by process {process})", mount_point(line)),
            text: line.to_owned(),
        });
        users.found.extend(named);
    }
    users
}

fn namespace_and_mounts(process: &Utf8Path) -> io::Result<(String, String)> {
    let namespace = process.join("ns/mnt").read_link_utf8()?;
    Ok((namespace.to_string(), fs::read_to_string(process.join("mountinfo"))?))
}

/// Whether a process is in a PID namespace below ours, as every process of a node is. `NSpid` is readable without
/// privileges (proc(5)); if it is missing, the answer is yes.
fn is_contained(process: &Utf8Path) -> bool {
    let status = fs::read_to_string(process.join("status")).unwrap_or_default();
    let ids = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
    ids.is_none_or(|ids| ids.split_whitespace().count() > 1)
}

fn is_ended(error: &io::Error) -> bool {
    // ESRCH, or EINVAL for the mounts of a process that has no mount namespace any more (proc(5)).
    matches!(error.raw_os_error(), Some(3 | 22))
}

/// The mount point: the fifth field of a line of mountinfo (proc(5)).
fn mount_point(line: &str) -> &str {
    line.split(' ').nth(4).unwrap_or("?")
}

/// All containers of podman, running or not, with the output of `podman container inspect`: the command line in it
/// names the folders of both artefacts.
async fn containers(host: &dyn Runner) -> Result<Vec<User>, UnreadSource> {
    let unjudged = |error: &CommandError| UnreadSource {
        why: format!("podman cannot say what its containers use: {}", first_line(error)),
        kinds: OF_CONTAINERS.to_vec(),
    };
    let list =
        Command::within(Duration::from_secs(60), "podman").args(["ps", "--all", "--format", "{{.ID}}"]);
    let ids = match host.run(&list).await {
        Ok(output) => output.text(),
        Err(error) if is_absent(&error) => return Ok(Vec::new()),
        Err(error) => return Err(unjudged(&error)),
    };
    let mut found = Vec::new();
    for id in ids.split_whitespace() {
        let inspect = Command::within(Duration::from_secs(60), "podman").args(["container", "inspect", id]);
        match host.run(&inspect).await {
            Ok(output) => found.push(container(id, output.text())),
            // Removed since the list was read. A new container cannot appear: its start waits for the cache's lock.
            Err(error) if says(&error, "no such container") => {}
            Err(error) => return Err(unjudged(&error)),
        }
    }
    Ok(found)
}

fn container(id: &str, text: String) -> User {
    let json: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
    let name = json.pointer("/0/Name").and_then(serde_json::Value::as_str).unwrap_or(id).to_owned();
    User { name: format!("container {name}"), text }
}

/// The disks of VMs on libvirt, each with the name of its base image. A base image itself is libvirt's copy of a box,
/// and does not count as a user.
async fn libvirt(host: &dyn Runner) -> Result<Vec<User>, UnreadSource> {
    let unjudged = |error: &CommandError| UnreadSource {
        why: format!("libvirt cannot say what its disks are based on: {}", first_line(error)),
        kinds: vec![Kind::Boxes],
    };
    let virsh = |args: &[&str]| {
        let command = Command::within(Duration::from_secs(60), "virsh");
        command.args(["--quiet", "--connect", "qemu:///system"]).args(args.iter().copied())
    };
    let list = match host.run(&virsh(&["vol-list", POOL])).await {
        Ok(output) => output.text(),
        Err(error) if is_absent(&error) || says(&error, "storage pool not found") => return Ok(Vec::new()),
        Err(error) => return Err(unjudged(&error)),
    };
    let mut found = Vec::new();
    let names = list.lines().filter_map(|line| line.split_whitespace().next());
    for name in names.filter(|name| !name.contains(BASE)) {
        match host.run(&virsh(&["vol-dumpxml", "--pool", POOL, name])).await {
            Ok(output) => found.push(User { name: format!("disk {name}"), text: output.text() }),
            Err(error) if says(&error, "storage volume not found") => {}
            Err(error) => return Err(unjudged(&error)),
        }
    }
    Ok(found)
}

/// VirtualBox does not say from which box a VM was made: while it has a VM of homelab, all boxes stay.
async fn virtualbox(host: &dyn Runner) -> Result<Vec<User>, UnreadSource> {
    let kinds = vec![Kind::Boxes];
    let list = Command::within(Duration::from_secs(60), "VBoxManage").args(["list", "vms"]);
    match host.run(&list).await {
        Ok(output) if output.text().contains("\"homelab") => {
            let why = "VirtualBox does not say from which box a VM was made".to_owned();
            Err(UnreadSource { why, kinds })
        }
        Ok(_) => Ok(Vec::new()),
        Err(error) if is_absent(&error) => Ok(Vec::new()),
        Err(error) => {
            let why = format!("VirtualBox cannot list its VMs: {}", first_line(&error));
            Err(UnreadSource { why, kinds })
        }
    }
}

/// Whether the program is not installed: then it has no containers or VMs.
fn is_absent(error: &CommandError) -> bool {
    matches!(&error.failure, Failure::Start(why) if why.kind() == io::ErrorKind::NotFound)
}

fn says(error: &CommandError, words: &str) -> bool {
    matches!(&error.failure, Failure::Status { stderr, .. } if stderr.to_lowercase().contains(words))
}

fn first_line(error: &CommandError) -> String {
    let said = match &error.failure {
        Failure::Status { stderr, .. } => stderr.lines().next().unwrap_or_default().to_owned(),
        other => other.to_string(),
    };
    said.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use camino::Utf8PathBuf;

    use super::*;
    use crate::exec::{Exchange, Scripted};

    const KEY: &str = "0123456789abcdef";

    #[tokio::test]
    async fn a_halted_container_is_a_user_by_its_command_line() {
        // The answer of podman 4.3 for a container that has ended, shortened.
        let inspect = format!(
            r#"[{{"Name": "homelab-1a2b3c.acme-main", "State": {{"Status": "exited"}}, "Config": {{"CreateCommand":
            ["podman", "run", "--volume", "/c/store/{KEY}:/opt/homelab/store:O", "--rootfs", "/c/root/{KEY}:O"]}}}}]"#
        );
        let host = Scripted::new([
            Exchange::ok("podman ps --all --format '{{.ID}}'", "aa11\nbb22\n"),
            Exchange::ok("podman container inspect aa11", &inspect),
            Exchange::fails("podman container inspect bb22", 125, "Error: no such container bb22\n"),
        ]);
        let found = containers(&host).await.unwrap();
        let names: Vec<&str> = found.iter().map(|user| user.name.as_str()).collect();
        assert_eq!(names, ["container homelab-1a2b3c.acme-main"]);
        assert!(found[0].text.contains(KEY));
    }

    #[tokio::test]
    async fn a_podman_that_is_broken_keeps_all_node_images() {
        let broken = "Error: database is locked\n";
        let host = Scripted::new([Exchange::fails("podman ps --all --format '{{.ID}}'", 125, broken)]);
        let unjudged = containers(&host).await.unwrap_err();
        assert_eq!(unjudged.kinds, OF_CONTAINERS);
        assert_eq!(unjudged.why, "podman cannot say what its containers use: Error: database is locked");
    }

    #[tokio::test]
    async fn a_disk_backed_by_a_box_is_its_user_and_the_copy_of_the_box_itself_is_not() {
        let base = format!("homelab-VAGRANTSLASH-{KEY}_vagrant_box_image_1.36.3_box.img");
        let list = format!(" strict-main.img  /pool/strict-main.img\n {base}  /pool/{base}\n");
        let xml = format!("<volume><backingStore><path>/pool/{base}</path></backingStore></volume>");
        let virsh = |words: &str| format!("virsh --quiet --connect qemu:///system {words}");
        let host = Scripted::new([
            Exchange::ok(virsh("vol-list homelab"), &list),
            Exchange::ok(virsh("vol-dumpxml --pool homelab strict-main.img"), &xml),
        ]);
        let found = libvirt(&host).await.unwrap();
        assert_eq!(found, [User { name: "disk strict-main.img".to_owned(), text: xml }]);
    }

    #[tokio::test]
    async fn a_libvirt_without_the_pool_of_homelab_has_no_users_and_one_that_does_not_answer_keeps_all_boxes()
    {
        let list = "virsh --quiet --connect qemu:///system vol-list homelab";
        let none = "error: failed to get pool 'homelab'\nerror: Storage pool not found: no storage pool\n";
        let host = Scripted::new([Exchange::fails(list, 1, none)]);
        assert_eq!(libvirt(&host).await.unwrap(), []);
        let dead = "error: failed to connect to the hypervisor\n";
        let host = Scripted::new([Exchange::fails(list, 1, dead)]);
        assert_eq!(libvirt(&host).await.unwrap_err().kinds, [Kind::Boxes]);
    }

    #[tokio::test]
    async fn vms_of_homelab_on_virtualbox_keep_all_boxes_and_foreign_vms_keep_none() {
        let list = "VBoxManage list vms";
        let ours = Scripted::new([Exchange::ok(list, "\"homelab-1a2b3c.strict-main\" {uuid}\n")]);
        assert_eq!(virtualbox(&ours).await.unwrap_err().kinds, [Kind::Boxes]);
        let others = Scripted::new([Exchange::ok(list, "\"windows\" {uuid}\n")]);
        assert_eq!(virtualbox(&others).await.unwrap(), []);
    }

    fn process(proc: &Utf8Path, id: &str, namespace: &str, mounts: &str) {
        let folder = proc.join(id);
        fs::create_dir_all(folder.join("ns")).unwrap();
        std::os::unix::fs::symlink(namespace, folder.join("ns/mnt")).unwrap();
        fs::write(folder.join("mountinfo"), mounts).unwrap();
    }

    #[test]
    fn a_mount_that_several_processes_see_is_one_user() {
        let folder = tempfile::tempdir().unwrap();
        let proc = Utf8PathBuf::from_path_buf(folder.path().to_owned()).unwrap();
        let overlay = format!(
            "31 1 0:40 / /merged rw - overlay overlay rw,lowerdir=/c/root/{KEY},upperdir=/u,workdir=/w\n\
             32 1 0:41 / /proc rw - proc proc rw\n"
        );
        process(&proc, "100", "mnt:[1]", &overlay);
        process(&proc, "101", "mnt:[1]", &overlay);
        process(&proc, "102", "mnt:[2]", "32 1 0:41 / /proc rw - proc proc rw\n");
        fs::create_dir(proc.join("103")).unwrap(); // a process that ends while it is read
        fs::create_dir(proc.join("self")).unwrap();
        let users = mounts(&proc);
        let names: Vec<&str> = users.found.iter().map(|user| user.name.as_str()).collect();
        assert_eq!(names, ["a mount at /merged (seen by process 100)"]);
        assert!(users.found[0].text.contains(KEY));
        assert_eq!(users.unjudged, []);
    }

    #[test]
    fn a_process_that_cannot_be_read_keeps_node_images_if_it_may_be_a_node() {
        let folder = tempfile::tempdir().unwrap();
        let proc = Utf8PathBuf::from_path_buf(folder.path().to_owned()).unwrap();
        let unreadable = |id: &str, status: &str| {
            process(&proc, id, "mnt:[1]", "");
            fs::remove_file(proc.join(id).join("mountinfo")).unwrap();
            fs::create_dir(proc.join(id).join("mountinfo")).unwrap(); // EISDIR, also for root
            fs::write(proc.join(id).join("status"), status).unwrap();
        };
        unreadable("1", "Name:\tinit\nNSpid:\t1\n");
        assert_eq!(mounts(&proc), Users::default());
        unreadable("200", "Name:\trunsvdir\nNSpid:\t200\t1\n");
        assert_eq!(mounts(&proc).unjudged[0].kinds, OF_CONTAINERS);
    }

    #[test]
    fn a_host_whose_processes_cannot_be_read_keeps_everything() {
        let users = mounts(Utf8Path::new("/nonexistent/proc"));
        assert_eq!(users.unjudged[0].kinds, Kind::ALL);
    }
}
