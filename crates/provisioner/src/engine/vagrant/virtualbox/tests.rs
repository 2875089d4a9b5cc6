//! The promises of [`Hypervisor`], tested with VirtualBox and scripted answers of VBoxManage.

mod engine;
mod faults;
mod transcripts;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use camino::Utf8PathBuf;
use futures::future::BoxFuture;

use crate::exec::{Exchange, Runner, Scripted};
use crate::fabric::FabricError;
use crate::plan::{ClusterPlan, InstanceId};

use super::super::hypervisor::{Hypervisor, Vm, VmState};
use super::vms::{Disk, disks as parsed_disks};
use super::wires::Wires;
use super::{Timeouts, VBoxManage, VirtualBox};
use crate::plan::Power;

use transcripts::Plugged::{Open, Sealed};
use transcripts::{adapters, answers, dhcp_servers, disks, marks, no_vm, refuses, told, vm, vms};

/// The VM of acme's only node.
const ACME: &str = "homelab-0a1b2c.acme.acme-cp-1";
/// The scope of acme, as in the key of its adapter's mark.
const SCOPE: &str = "homelab-0a1b2c.acme";

/// Records its calls.
#[derive(Debug, Default)]
struct Noted(Mutex<Vec<String>>);

impl Noted {
    fn note<T: Send + 'static>(&self, what: &str, answer: T) -> BoxFuture<'_, Result<T, FabricError>> {
        self.0.lock().unwrap().push(what.to_owned());
        Box::pin(async { Ok(answer) })
    }
}

impl Wires for Noted {
    fn alone(&self) -> BoxFuture<'_, Result<Box<dyn Send>, FabricError>> {
        self.note("alone", Box::new(()) as Box<dyn Send>)
    }

    fn watch<'a>(&'a self, adapter: &'a str) -> BoxFuture<'a, Result<(), FabricError>> {
        self.note(&format!("watch {adapter}"), ())
    }

    fn forget(&self) -> BoxFuture<'_, Result<(), FabricError>> {
        self.note("forget", ())
    }
}

/// A VirtualBox that expects these exchanges, with the default ranges.
fn playing(exchanges: impl IntoIterator<Item = Exchange>) -> (VirtualBox, Arc<Noted>) {
    on(Arc::new(Scripted::new(exchanges)), "/nonexistent/networks.conf".into())
}

fn on(host: Arc<dyn Runner>, networks_conf: Utf8PathBuf) -> (VirtualBox, Arc<Noted>) {
    let wires = Arc::new(Noted::default());
    let timeouts = Timeouts { shut_down: Duration::ZERO, release: Duration::ZERO };
    let tool = VBoxManage::new(host);
    (VirtualBox { tool, wires: Arc::clone(&wires) as _, networks_conf, subnets: None, timeouts }, wires)
}

/// acme with one node, on 192.168.60.0/24.
fn acme() -> ClusterPlan {
    let mut plan = crate::plan::tests::acme();
    plan.id.home = "0a1b2c".to_owned();
    plan.nodes.truncate(1);
    plan
}

fn id(name: &str) -> InstanceId {
    InstanceId { home: "0a1b2c".to_owned(), name: name.to_owned() }
}

fn noted(wires: &Noted) -> Vec<String> {
    wires.0.lock().unwrap().clone()
}

#[test]
fn a_vagrantfile_gives_a_vm_its_network_and_nothing_of_the_host() {
    let (virtualbox, _) = playing([]);
    let plan = acme();
    let node = virtualbox.configure_node(&plan, &plan.nodes[0]);
    insta::assert_snapshot!(virtualbox.configure(&plan) + "\n" + &node);
}

#[tokio::test]
async fn an_adapter_is_marked_and_watched_before_it_has_an_address() {
    let (virtualbox, wires) = playing([
        adapters(&[("vboxnet0", "192.168.56.1")]),
        marks(&[]),
        vms(&["old machine"]),
        answers("hostonlyif create", "0%...10%...100%\nInterface 'vboxnet1' was successfully created\n"),
        told(&format!("setextradata global homelab/{SCOPE} vboxnet1")),
        dhcp_servers(&["vboxnet0"]),
        told("hostonlyif ipconfig vboxnet1 --ip 192.168.60.1 --netmask 255.255.255.0"),
        told(&format!("setextradata global homelab/{SCOPE} 'vboxnet1 192.168.60.1/24'")),
    ]);
    virtualbox.prepare(&acme()).await.unwrap();
    assert_eq!(noted(&wires), ["alone", "watch vboxnet1"]);
}

#[tokio::test]
async fn an_existing_adapter_is_watched_again_and_loses_its_dhcp_server() {
    let (virtualbox, wires) = playing([
        adapters(&[("vboxnet0", "192.168.61.1"), ("vboxnet1", "192.168.60.1")]),
        marks(&[(SCOPE, "vboxnet1 192.168.60.1/24"), ("homelab-0a1b2c.globex", "vboxnet0 192.168.61.1/24")]),
        vms(&["old machine", ACME]),
        vm("'old machine'", "poweroff", Open("vboxnet0")),
        vm(ACME, "running", Open("vboxnet1")),
        dhcp_servers(&["vboxnet0", "vboxnet1"]),
        told("dhcpserver remove --network=HostInterfaceNetworking-vboxnet1"),
        told("hostonlyif ipconfig vboxnet1 --ip 192.168.60.1 --netmask 255.255.255.0"),
    ]);
    virtualbox.prepare(&acme()).await.unwrap();
    assert_eq!(noted(&wires), ["alone", "watch vboxnet1"]);
}

#[tokio::test]
async fn the_adapter_of_a_killed_command_is_finished_by_the_next_one() {
    let (virtualbox, _) = playing([
        adapters(&[("vboxnet4", "192.168.60.1")]),
        marks(&[(SCOPE, "vboxnet4")]),
        vms(&[]),
        dhcp_servers(&[]),
        told("hostonlyif ipconfig vboxnet4 --ip 192.168.60.1 --netmask 255.255.255.0"),
        told(&format!("setextradata global homelab/{SCOPE} 'vboxnet4 192.168.60.1/24'")),
    ]);
    virtualbox.prepare(&acme()).await.unwrap();
}

#[tokio::test]
async fn a_running_vm_is_unplugged_from_nat_by_its_process_and_one_that_is_off_by_its_settings() {
    let (virtualbox, _) = playing([
        vm(ACME, "running", Open("vboxnet1")),
        told(&format!("controlvm {ACME} setlinkstate1 off")),
        told(&format!("controlvm {ACME} natpf1 delete ssh")),
        vm(ACME, "running", Sealed("vboxnet1")),
    ]);
    virtualbox.seal(&acme()).await.unwrap();

    let (virtualbox, _) = playing([
        vm(ACME, "poweroff", Open("vboxnet1")),
        told(&format!("modifyvm {ACME} --cable-connected1 off")),
        told(&format!("modifyvm {ACME} --nat-pf1 delete ssh")),
        vm(ACME, "poweroff", Sealed("vboxnet1")),
    ]);
    virtualbox.seal(&acme()).await.unwrap();
}

#[tokio::test]
async fn a_vm_that_is_unplugged_from_nat_or_saved_is_left_as_it_is() {
    for (state, plugged) in [("running", Sealed("vboxnet1")), ("saved", Open("vboxnet1"))] {
        let (virtualbox, _) = playing([vm(ACME, state, plugged)]);
        virtualbox.seal(&acme()).await.unwrap();
    }
}

/// Changes the power of acme's VM, and returns the calls to the guard.
async fn obeys(power: Power, exchanges: impl IntoIterator<Item = Exchange>) -> Vec<String> {
    let (virtualbox, wires) = playing(exchanges);
    // The state that the caller knows may be out of date.
    let machine = Vm { name: ACME.to_owned(), state: VmState::Off };
    virtualbox.power(&machine, power).await.unwrap();
    noted(&wires)
}

#[tokio::test]
async fn a_vm_is_started_without_vagrant_on_a_watched_network_and_unplugged_from_nat() {
    // Aborted: the VM's process was killed. The way out that Vagrant left open is closed first.
    for state in ["poweroff", "aborted"] {
        let watched = obeys(
            Power::Start,
            [
                vm(ACME, state, Open("vboxnet1")),
                told(&format!("modifyvm {ACME} --cable-connected1 off")),
                told(&format!("modifyvm {ACME} --nat-pf1 delete ssh")),
                vm(ACME, state, Sealed("vboxnet1")),
                told(&format!("startvm {ACME} --type headless")),
            ],
        );
        assert_eq!(watched.await, ["watch vboxnet1"]);
    }
    let sealed = [vm(ACME, "poweroff", Sealed("vboxnet1")), told(&format!("startvm {ACME} --type headless"))];
    assert_eq!(obeys(Power::Start, sealed).await, ["watch vboxnet1"]);
}

#[tokio::test]
async fn a_saved_vm_is_unplugged_from_nat_when_it_resumes() {
    let saved = [
        vm(ACME, "saved", Open("vboxnet1")),
        told(&format!("startvm {ACME} --type headless")),
        vm(ACME, "running", Open("vboxnet1")),
        told(&format!("controlvm {ACME} setlinkstate1 off")),
        told(&format!("controlvm {ACME} natpf1 delete ssh")),
        vm(ACME, "running", Sealed("vboxnet1")),
    ];
    assert_eq!(obeys(Power::Resume, saved).await, ["watch vboxnet1"]);
}

#[tokio::test]
async fn vms_pause_resume_and_shut_down_and_are_powered_off_if_they_do_not() {
    let at = |state| vm(ACME, state, Sealed("vboxnet1"));
    let control = |verb: &str| told(&format!("controlvm {ACME} {verb}"));
    obeys(Power::Pause, [at("running"), control("pause")]).await;
    obeys(Power::Resume, [at("paused"), control("resume")]).await;
    obeys(Power::Halt, [at("running"), control("acpipowerbutton"), at("poweroff")]).await;
    let stubborn = [at("running"), control("acpipowerbutton"), at("running"), control("poweroff")];
    obeys(Power::Halt, stubborn).await;
    obeys(Power::Halt, [at("gurumeditation"), control("poweroff")]).await;
    // VMs that are in the wanted state already.
    for (power, state) in [
        (Power::Pause, "paused"),
        (Power::Pause, "poweroff"),
        (Power::Resume, "running"),
        (Power::Halt, "aborted"),
        (Power::Start, "running"),
    ] {
        obeys(power, [at(state)]).await;
    }
}

#[tokio::test]
async fn vms_of_this_home_are_found_by_their_names_and_listed_with_their_states() {
    let name = |number: u8| format!("homelab-0a1b2c.acme.acme-w-{number}");
    let names: Vec<String> = (1..=6).map(name).collect();
    let states = ["running", "paused", "saved", "poweroff", "aborted"];
    let mut script = vec![vms(&[
        "old machine",
        "homelab-ffffff.acme.acme-w-1",
        &names[0],
        &names[1],
        &names[2],
        &names[3],
        &names[4],
        &names[5],
    ])];
    script.extend(names.iter().zip(states).map(|(name, state)| vm(name, state, Sealed("vboxnet1"))));
    script.push(no_vm(&names[5])); // removed meanwhile
    let (virtualbox, _) = playing(script);
    let known = virtualbox.vms("0a1b2c").await.unwrap();
    assert_eq!(known.iter().map(|vm| vm.name.as_str()).collect::<Vec<_>>(), &names[..5]);
    let known: Vec<VmState> = known.iter().map(|vm| vm.state).collect();
    use VmState::{Off, Paused, Running};
    assert_eq!(known, [Running, Paused, Paused, Off, Off]);
}

#[tokio::test]
async fn a_vm_is_removed_with_its_disks_in_any_state_and_a_missing_one_is_no_error() {
    let (virtualbox, _) = playing([
        vm(ACME, "running", Open("vboxnet1")),
        told(&format!("controlvm {ACME} poweroff")),
        told(&format!("unregistervm {ACME} --delete")),
        no_vm(ACME),
        vm(ACME, "saved", Open("vboxnet1")),
        told(&format!("unregistervm {ACME} --delete")),
    ]);
    for _ in 0..3 {
        virtualbox.remove(ACME).await.unwrap();
    }
}

#[test]
fn a_disk_is_listed_before_its_parent() {
    let script = disks(&[("b", "base", "/b"), ("c1", "b", "/c1"), ("d", "c1", "/d"), ("c2", "b", "/c2")]);
    let order: Vec<String> =
        parsed_disks(&script.answer.unwrap()).into_iter().map(|disk: Disk| disk.uuid).collect();
    assert_eq!(order, ["d", "c2", "c1", "b"]);
}

#[tokio::test]
async fn sightings_are_the_objects_of_this_home_in_virtualbox_and_no_others() {
    let (virtualbox, _) = playing([
        vms(&["old machine", ACME, "homelab-ffffff.acme.acme-cp-1"]),
        disks(&[
            ("1", "base", "/root/VirtualBox VMs/homelab_box_1/box.vmdk"),
            ("2", "1", "/root/VirtualBox VMs/homelab-0a1b2c.globex.globex-main/Snapshots/{2}.vmdk"),
        ]),
        adapters(&[("vboxnet0", "192.168.61.1"), ("vboxnet1", "192.168.60.1"), ("vboxnet2", "192.168.56.1")]),
        marks(&[
            (SCOPE, "vboxnet1 192.168.60.1/24"),
            ("homelab-ffffff.acme", "vboxnet0 192.168.61.1/24"),
            ("homelab-0a1b2c.initech", "vboxnet2 192.168.62.1/24"),
        ]),
    ]);
    let seen = virtualbox.sightings("0a1b2c").await.unwrap();
    let seen: Vec<String> = seen.iter().map(|it| format!("{}: {it}", it.instance)).collect();
    insta::assert_snapshot!(seen.join("\n"));
}

#[tokio::test]
async fn the_neighbour_with_the_next_adapter_is_left_alone() {
    let neighbour = "homelab-0a1b2c.acme-1.acme-1-cp-1";
    let (virtualbox, wires) = playing([
        disks(&[
            ("1", "base", "/root/VirtualBox VMs/homelab_box_1/box.vmdk"),
            ("2", "1", "/root/VirtualBox VMs/homelab-0a1b2c.acme-1.acme-1-cp-1/Snapshots/{2}.vmdk"),
            ("3", "1", "/root/VirtualBox VMs/homelab-0a1b2c.acme.acme-cp-1/Snapshots/{3}.vmdk"),
        ]),
        told("closemedium disk 3 --delete"),
        marks(&[(SCOPE, "vboxnet0 192.168.60.1/24"), ("homelab-0a1b2c.acme-1", "vboxnet1 192.168.61.1/24")]),
        adapters(&[("vboxnet0", "192.168.60.1"), ("vboxnet1", "192.168.61.1")]),
        vms(&[neighbour]),
        vm(neighbour, "running", Sealed("vboxnet1")),
        dhcp_servers(&["vboxnet1"]),
        told("hostonlyif remove vboxnet0"),
        told(&format!("setextradata global homelab/{SCOPE}")),
    ]);
    assert!(virtualbox.clear(&id("acme")).await.unwrap());
    assert_eq!(noted(&wires), ["alone", "forget"]);
}

#[tokio::test]
async fn a_foreign_adapter_that_reuses_the_name_is_kept_and_only_the_mark_is_removed() {
    let (virtualbox, _) = playing([
        disks(&[]),
        marks(&[(SCOPE, "vboxnet0 192.168.60.1/24")]),
        adapters(&[("vboxnet0", "192.168.56.1")]),
        told(&format!("setextradata global homelab/{SCOPE}")),
    ]);
    assert!(virtualbox.clear(&id("acme")).await.unwrap());
}

#[tokio::test]
async fn an_instance_without_objects_is_cleared_without_a_change() {
    let (virtualbox, _) =
        playing([disks(&[]), marks(&[("homelab-0a1b2c.acme-1", "vboxnet1 192.168.61.1/24")])]);
    assert!(!virtualbox.clear(&id("acme")).await.unwrap());
}
