//! The whole engine on VirtualBox, with scripted answers of Vagrant and VBoxManage.
//!
//! Vagrant's answers are written from its messages (2.3.4, `templates/locales/en.yml`), not recorded.

use std::fs;

use camino::Utf8Path;

use crate::assets::Assets;
use crate::engine::{Engine, EngineError};
use crate::exec::{Command, CommandError, Output};
use crate::request::Provider;

use super::super::super::VagrantEngine;
use super::transcripts::LOCKED;
use super::*;

/// A host that plays a script. `vagrant up` also writes Vagrant's records of the VM, and every ssh login succeeds.
#[derive(Debug)]
struct Playing {
    script: Scripted,
    /// The folder of Vagrant's records of acme's node.
    known: Utf8PathBuf,
}

impl Runner for Playing {
    fn run<'a>(&'a self, command: &'a Command) -> BoxFuture<'a, Result<Output, CommandError>> {
        Box::pin(async move {
            if command.program() == "ssh" {
                return Ok(Output::default());
            }
            if command.arguments().any(|word| word == "up") {
                // Vagrant records the VM as soon as the VM exists, and its key after the first login.
                fs::create_dir_all(&self.known).unwrap();
                fs::write(self.known.join("id"), "5d0a2c4e").unwrap();
                let output = self.script.run(command).await?;
                fs::write(self.known.join("private_key"), "").unwrap();
                return Ok(output);
            }
            self.script.run(command).await
        })
    }
}

/// A home with the box and the plan of acme.
struct Desk {
    folder: tempfile::TempDir,
    assets: Assets,
    plan: ClusterPlan,
}

impl Desk {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let home = Utf8Path::from_path(folder.path()).unwrap();
        let assets = Assets::in_cache(home.join("cache"));
        let plan = ClusterPlan { folder: home.join("instances/acme"), ..acme() };
        let catalogue = assets.box_at(&plan.kubernetes, Provider::Virtualbox).catalogue;
        fs::create_dir_all(catalogue.parent().unwrap()).unwrap();
        fs::write(catalogue, "{}").unwrap();
        Self { folder, assets, plan }
    }

    fn engine(&self, exchanges: impl IntoIterator<Item = Exchange>) -> VagrantEngine {
        let known = self.plan.folder.join("vagrant/.vagrant/machines/acme-cp-1/virtualbox");
        let host: Arc<dyn Runner> = Arc::new(Playing { script: Scripted::new(exchanges), known });
        let (virtualbox, _) = on(Arc::clone(&host), "/nonexistent/networks.conf".into());
        let assets = self.assets.clone();
        VagrantEngine { home: "0a1b2c".to_owned(), assets, hypervisor: Arc::new(virtualbox), host }
    }

    /// `vagrant` in the project of the instance, as the engine runs it.
    fn vagrant(&self, args: &str) -> String {
        format!(
            "cd {}/vagrant && {} setpriv --pdeathsig KILL vagrant {args}",
            self.plan.folder,
            self.variables()
        )
    }

    fn variables(&self) -> String {
        let home = self.assets.folder().join("vagrant");
        format!("VAGRANT_HOME={home} VAGRANT_NO_COLOR=1 VAGRANT_CHECKPOINT_DISABLE=1")
    }

    fn up(&self) -> String {
        self.vagrant("up --provider virtualbox acme-cp-1")
    }

    /// Vagrant is asked for its boxes, and has the box.
    fn boxes(&self) -> Exchange {
        let node_box = self.assets.box_at(&self.plan.kubernetes, Provider::Virtualbox);
        let rows =
            [("name", node_box.name.as_str()), ("provider", "virtualbox"), ("version", &node_box.version)];
        let rows = rows.map(|(key, value)| format!("1795000000,,box-{key},{value}\n"));
        let list = format!("{} vagrant box list --machine-readable", self.variables());
        Exchange::ok(list, rows.concat())
    }

    fn is_there(&self) -> bool {
        self.plan.folder.join("vagrant").exists() && self.folder.path().exists()
    }
}

/// The engine makes the network.
fn makes_the_network() -> Vec<Exchange> {
    vec![
        adapters(&[]),
        marks(&[]),
        vms(&[]),
        answers("hostonlyif create", "Interface 'vboxnet0' was successfully created\n"),
        told(&format!("setextradata global homelab/{SCOPE} vboxnet0")),
        dhcp_servers(&[]),
        told("hostonlyif ipconfig vboxnet0 --ip 192.168.60.1 --netmask 255.255.255.0"),
        told(&format!("setextradata global homelab/{SCOPE} 'vboxnet0 192.168.60.1/24'")),
    ]
}

/// The engine finds the network and acme's VM.
fn finds_the_network(state: &str, plugged: transcripts::Plugged) -> Vec<Exchange> {
    vec![
        adapters(&[("vboxnet0", "192.168.60.1")]),
        marks(&[(SCOPE, "vboxnet0 192.168.60.1/24")]),
        vms(&[ACME]),
        vm(ACME, state, plugged),
        dhcp_servers(&[]),
        told("hostonlyif ipconfig vboxnet0 --ip 192.168.60.1 --netmask 255.255.255.0"),
    ]
}

/// The engine disconnects the VM from NAT.
fn seals() -> Vec<Exchange> {
    vec![
        vm(ACME, "running", Open("vboxnet0")),
        told(&format!("controlvm {ACME} setlinkstate1 off")),
        told(&format!("controlvm {ACME} natpf1 delete ssh")),
        vm(ACME, "running", Sealed("vboxnet0")),
    ]
}

/// The engine lists its VMs.
fn looks(state: &str) -> Vec<Exchange> {
    vec![vms(&[ACME]), vm(ACME, state, Sealed("vboxnet0"))]
}

/// The engine finds no disk and removes the network.
fn clears() -> Vec<Exchange> {
    vec![
        disks(&[]),
        marks(&[(SCOPE, "vboxnet0 192.168.60.1/24")]),
        adapters(&[("vboxnet0", "192.168.60.1")]),
        vms(&[]),
        dhcp_servers(&[]),
        told("hostonlyif remove vboxnet0"),
        told(&format!("setextradata global homelab/{SCOPE}")),
    ]
}

/// The engine makes the network and the VM.
fn makes(desk: &Desk) -> Vec<Exchange> {
    let up = Exchange::ok(desk.up(), "==> acme-cp-1: Vm booted and ready!\n");
    let mut script = vec![vms(&[])];
    script.extend(makes_the_network());
    script.extend([desk.boxes(), up]);
    script.extend(seals());
    script
}

#[tokio::test]
async fn vagrant_runs_only_to_create_and_to_destroy_a_vm() {
    let desk = Desk::new();
    let nodes = desk.engine(makes(&desk)).create(&desk.plan).await.unwrap();
    assert_eq!(nodes.len(), 1);
    let vagrantfile = fs::read_to_string(desk.plan.folder.join("vagrant/Vagrantfile")).unwrap();
    assert!(vagrantfile.contains(&format!("vb.name = \"{ACME}\"")));

    // Made again: everything exists.
    let mut again = looks("running");
    again.extend(finds_the_network("running", Sealed("vboxnet0")));
    again.extend([vm(ACME, "running", Sealed("vboxnet0")), vm(ACME, "running", Sealed("vboxnet0"))]);
    desk.engine(again).create(&desk.plan).await.unwrap();

    // Found, and not found, by another process.
    assert_eq!(desk.engine(looks("running")).attach(&desk.plan).await.unwrap().len(), 1);
    let absent = desk.engine(looks("poweroff")).attach(&desk.plan).await;
    assert!(matches!(absent, Err(EngineError::Absent { node }) if node == "acme-cp-1"));

    // After a reboot of the host, and with an empty cache: a VM starts without the box that it was made from.
    fs::remove_file(desk.assets.box_at(&desk.plan.kubernetes, Provider::Virtualbox).catalogue).unwrap();
    let mut start = looks("aborted");
    start.extend(finds_the_network("aborted", Sealed("vboxnet0")));
    start.extend([
        vm(ACME, "aborted", Sealed("vboxnet0")),
        told(&format!("startvm {ACME} --type headless")),
        vm(ACME, "running", Sealed("vboxnet0")),
    ]);
    desk.engine(start).power(&desk.plan, Power::Start).await.unwrap();

    let mut end = vec![Exchange::ok(desk.vagrant("destroy --force"), ""), vms(&[])];
    end.extend(clears());
    assert!(desk.engine(end).destroy(&desk.plan.id, &desk.plan.folder).await.unwrap());
    assert!(!desk.is_there());
}

#[tokio::test]
async fn a_vagrant_that_fails_half_way_says_why_leaves_no_nat_and_the_vm_is_created_again() {
    let desk = Desk::new();
    let failure = "\
Timed out while waiting for the machine to boot. This means that
Vagrant was unable to communicate with the guest machine within
the configured (\"config.vm.boot_timeout\" value) time period.
";
    let mut script = vec![vms(&[])];
    script.extend(makes_the_network());
    script.extend([desk.boxes(), Exchange::fails(desk.up(), 1, failure)]);
    script.extend(seals());
    let error = desk.engine(script).create(&desk.plan).await.unwrap_err();
    let home = desk.assets.folder().as_str();
    let shown =
        crate::error::chain(&error).replace(desk.plan.folder.as_str(), "<folder>").replace(home, "<cache>");
    insta::assert_snapshot!(shown);

    let mut again = vec![vms(&[ACME]), vm(ACME, "running", Sealed("vboxnet0"))];
    again.extend(finds_the_network("running", Sealed("vboxnet0")));
    again.extend([
        vm(ACME, "running", Sealed("vboxnet0")),
        told(&format!("controlvm {ACME} poweroff")),
        told(&format!("unregistervm {ACME} --delete")),
    ]);
    again.extend([desk.boxes(), Exchange::ok(desk.up(), "")]);
    again.extend(seals());
    assert_eq!(desk.engine(again).create(&desk.plan).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_vm_that_vagrant_has_locked_is_removed_anyway_and_leftovers_are_reported() {
    let desk = Desk::new();
    desk.engine(makes(&desk)).create(&desk.plan).await.unwrap();
    let locked = || {
        let message = "Vagrant can't use the requested machine because it is locked! This\n\
                       means that another Vagrant process is currently reading or modifying\nthe machine.\n";
        Exchange::fails(desk.vagrant("destroy --force"), 1, message)
    };
    let finds = || [vms(&[ACME]), vm(ACME, "running", Open("vboxnet0"))];
    let ends = || [vm(ACME, "running", Open("vboxnet0")), told(&format!("controlvm {ACME} poweroff"))];

    // Another process has locked the VM in VirtualBox, too.
    let mut script = vec![locked()];
    script.extend(finds());
    script.extend(ends());
    script.push(refuses(&format!("unregistervm {ACME} --delete"), LOCKED));
    script.extend([disks(&[]), marks(&[])]);
    let left = desk.engine(script).destroy(&desk.plan.id, &desk.plan.folder).await.unwrap_err();
    assert!(matches!(&left, EngineError::Left { left, .. } if left.len() == 1), "{left}");

    let mut script = finds().to_vec();
    script.extend(ends());
    script.push(told(&format!("unregistervm {ACME} --delete")));
    script.extend(clears());
    assert!(desk.engine(script).destroy(&desk.plan.id, &desk.plan.folder).await.unwrap());
    assert!(!desk.is_there());
}

#[tokio::test]
async fn a_vm_of_the_same_name_that_vagrant_does_not_know_is_left_alone() {
    let desk = Desk::new();
    let error = desk.engine(looks("poweroff")).create(&desk.plan).await.unwrap_err();
    insta::assert_snapshot!(crate::error::chain(&error));
}
