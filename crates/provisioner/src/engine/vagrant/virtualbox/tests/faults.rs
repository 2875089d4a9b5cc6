//! Faults of VirtualBox, and the errors and hints for them.

use std::io;

use crate::engine::EngineError;
use crate::error::Hint;
use crate::exec::{Command, CommandError, Failure, Output};

use super::transcripts::{ACCESS_DENIED, LOCKED, NO_ADAPTER_MODULE, NO_DRIVER, Plugged};
use super::*;

/// An error with its causes and its hint, as the user sees it.
fn shown(error: &EngineError) -> String {
    format!("{}\nhint: {}", crate::error::chain(error), error.hint().unwrap_or_default())
}

/// The error of `prepare` for acme's network.
async fn refused(exchanges: impl IntoIterator<Item = Exchange>) -> String {
    let (virtualbox, _) = playing(exchanges);
    shown(&virtualbox.prepare(&acme()).await.unwrap_err())
}

#[tokio::test]
async fn a_range_that_is_not_allowed_is_refused_before_anything_is_created() {
    let folder = tempfile::tempdir().unwrap();
    let conf = Utf8PathBuf::from_path_buf(folder.path().join("networks.conf")).unwrap();
    std::fs::write(&conf, "# the office\n* 10.0.0.0/8\n").unwrap();
    let (virtualbox, wires) = on(Arc::new(Scripted::new([])), conf);
    let error = virtualbox.prepare(&acme()).await.unwrap_err();
    insta::assert_snapshot!(shown(&error));
    assert_eq!(noted(&wires), [""; 0]);
}

#[tokio::test]
async fn a_range_that_virtualbox_refuses_is_reported_with_its_message() {
    let refused = refused([
        adapters(&[]),
        marks(&[]),
        vms(&[]),
        answers("hostonlyif create", "Interface 'vboxnet0' was successfully created\n"),
        told(&format!("setextradata global homelab/{SCOPE} vboxnet0")),
        dhcp_servers(&[]),
        refuses("hostonlyif ipconfig vboxnet0 --ip 192.168.60.1 --netmask 255.255.255.0", ACCESS_DENIED),
    ]);
    insta::assert_snapshot!(refused.await);
}

#[tokio::test]
async fn the_adapter_that_a_refused_range_left_is_removed() {
    // The adapter still has the address that belongs to its number.
    let (virtualbox, _) = playing([
        disks(&[]),
        marks(&[(SCOPE, "vboxnet0")]),
        adapters(&[("vboxnet0", "192.168.56.1")]),
        vms(&[]),
        dhcp_servers(&[]),
        told("hostonlyif remove vboxnet0"),
        told(&format!("setextradata global homelab/{SCOPE}")),
    ]);
    assert!(virtualbox.clear(&id("acme")).await.unwrap());
}

#[tokio::test]
async fn a_foreign_adapter_with_the_network_of_the_instance_is_refused() {
    let refused = refused([
        adapters(&[("vboxnet0", "192.168.56.1"), ("vboxnet4", "192.168.60.1")]),
        marks(&[("homelab-0a1b2c.globex", "vboxnet0 192.168.56.1/24")]),
    ]);
    insta::assert_snapshot!(refused.await);
}

#[tokio::test]
async fn a_foreign_vm_on_the_adapter_is_refused_and_prevents_the_removal_of_the_adapter() {
    let stranger = || vm("stranger", "running", Open("vboxnet1"));
    let refused = refused([
        adapters(&[("vboxnet1", "192.168.60.1")]),
        marks(&[(SCOPE, "vboxnet1 192.168.60.1/24")]),
        vms(&["stranger"]),
        stranger(),
    ]);
    let (virtualbox, wires) = playing([
        disks(&[]),
        marks(&[(SCOPE, "vboxnet1 192.168.60.1/24")]),
        adapters(&[("vboxnet1", "192.168.60.1")]),
        vms(&["stranger"]),
        stranger(),
    ]);
    let left = virtualbox.clear(&id("acme")).await.unwrap_err();
    insta::assert_snapshot!(format!("{}\n{}", refused.await, shown(&left)));
    assert_eq!(noted(&wires), ["alone"], "the guard stays");
}

#[tokio::test]
async fn a_foreign_vm_of_the_same_name_is_refused_before_anything_is_created() {
    let elsewhere =
        refused([adapters(&[]), marks(&[]), vms(&[ACME]), vm(ACME, "poweroff", Plugged::Bridged("eth0"))]);
    let neighbours = refused([
        adapters(&[("vboxnet0", "192.168.60.1"), ("vboxnet1", "192.168.61.1")]),
        marks(&[(SCOPE, "vboxnet0 192.168.60.1/24")]),
        vms(&[ACME]),
        vm(ACME, "running", Open("vboxnet1")),
    ]);
    insta::assert_snapshot!(format!("{}\n{}", elsewhere.await, neighbours.await));
}

#[tokio::test]
async fn missing_kernel_modules_are_named_with_the_command_that_loads_them() {
    let no_adapter =
        refused([adapters(&[]), marks(&[]), vms(&[]), refuses("hostonlyif create", NO_ADAPTER_MODULE)]);
    let (virtualbox, _) = playing([
        vm(ACME, "poweroff", Sealed("vboxnet1")),
        refuses(&format!("startvm {ACME} --type headless"), NO_DRIVER),
    ]);
    let off = Vm { name: ACME.to_owned(), state: VmState::Off };
    let no_power = virtualbox.power(&off, Power::Start).await.unwrap_err();
    insta::assert_snapshot!(format!("{}\n{}", no_adapter.await, shown(&no_power)));
}

#[tokio::test]
async fn a_vm_that_another_process_has_locked_is_an_error_with_the_reason() {
    let (virtualbox, _) = playing([
        vm(ACME, "poweroff", Sealed("vboxnet1")),
        refuses(&format!("unregistervm {ACME} --delete"), LOCKED),
    ]);
    insta::assert_snapshot!(shown(&virtualbox.remove(ACME).await.unwrap_err()));
}

#[tokio::test]
async fn a_vm_that_is_unlocked_in_time_is_removed() {
    let (mut virtualbox, _) = playing([
        vm(ACME, "paused", Sealed("vboxnet1")),
        told(&format!("controlvm {ACME} poweroff")),
        refuses(&format!("unregistervm {ACME} --delete"), LOCKED),
        told(&format!("unregistervm {ACME} --delete")),
    ]);
    virtualbox.timeouts.release = Duration::from_secs(60);
    virtualbox.remove(ACME).await.unwrap();
}

#[tokio::test]
async fn a_vm_that_stays_plugged_into_nat_is_an_error() {
    let (virtualbox, _) = playing([
        vm(ACME, "running", Open("vboxnet1")),
        told(&format!("controlvm {ACME} setlinkstate1 off")),
        told(&format!("controlvm {ACME} natpf1 delete ssh")),
        vm(ACME, "running", Open("vboxnet1")),
    ]);
    insta::assert_snapshot!(shown(&virtualbox.seal(&acme()).await.unwrap_err()));
    let (virtualbox, _) = playing([no_vm(ACME)]);
    assert!(
        matches!(virtualbox.seal(&acme()).await, Err(EngineError::Absent { node }) if node == "acme-cp-1")
    );
}

#[tokio::test]
async fn an_unknown_state_of_a_vm_is_an_error() {
    let (virtualbox, _) = playing([vms(&[ACME]), vm(ACME, "dreaming", Sealed("vboxnet1"))]);
    insta::assert_snapshot!(shown(&virtualbox.vms("0a1b2c").await.unwrap_err()));
}

/// A host without VBoxManage.
#[derive(Debug)]
struct Bare;

impl Runner for Bare {
    fn run<'a>(&'a self, command: &'a Command) -> BoxFuture<'a, Result<Output, CommandError>> {
        let failure = Failure::Start(io::Error::from(io::ErrorKind::NotFound));
        let (command, place) = (command.to_string(), String::new());
        Box::pin(async { Err(CommandError { command, place, failure }) })
    }
}

#[tokio::test]
async fn a_host_without_virtualbox_has_no_objects_and_cannot_be_prepared() {
    let (virtualbox, _) = on(Arc::new(Bare), "/nonexistent/networks.conf".into());
    assert_eq!(virtualbox.vms("0a1b2c").await.unwrap(), []);
    assert_eq!(virtualbox.sightings("0a1b2c").await.unwrap(), []);
    assert!(!virtualbox.clear(&id("acme")).await.unwrap());
    let error = virtualbox.prepare(&acme()).await.unwrap_err();
    insta::assert_snapshot!(shown(&error));
}
