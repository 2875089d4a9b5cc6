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
async fn a_range_that_is_not_allowed_is_refused_before_anything_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let conf = Utf8PathBuf::from_path_buf(folder.path().join("networks.conf")).unwrap();
    std::fs::write(&conf, "# the office\n* 10.0.0.0/8\n").unwrap();
    let (virtualbox, wires) = on(Arc::new(Scripted::new([])), conf);
    let error = virtualbox.prepare(&acme()).await.unwrap_err();
    insta::assert_snapshot!(shown(&error));
    assert_eq!(noted(&wires), [""; 0]);
}

#[tokio::test]
async fn a_range_that_virtualbox_refuses_after_all_is_told_with_its_own_words() {
    let refused = refused([
        adapters(&[]),
        marks(&[]),
        machines(&[]),
        answers("hostonlyif create", "Interface 'vboxnet0' was successfully created\n"),
        told(&format!("setextradata global homelab/{SCOPE} vboxnet0")),
        dhcp_servers(&[]),
        refuses("hostonlyif ipconfig vboxnet0 --ip 192.168.60.1 --netmask 255.255.255.0", ACCESS_DENIED),
    ]);
    insta::assert_snapshot!(refused.await);
}

#[tokio::test]
async fn what_such_a_refusal_left_is_cleared() {
    // The adapter still has the address that belongs to its number.
    let (virtualbox, _) = playing([
        disks(&[]),
        marks(&[(SCOPE, "vboxnet0")]),
        adapters(&[("vboxnet0", "192.168.56.1")]),
        machines(&[]),
        dhcp_servers(&[]),
        told("hostonlyif remove vboxnet0"),
        told(&format!("setextradata global homelab/{SCOPE}")),
    ]);
    assert!(virtualbox.clear(&id("acme")).await.unwrap());
}

#[tokio::test]
async fn a_foreign_adapter_with_our_network_is_refused() {
    let refused = refused([
        adapters(&[("vboxnet0", "192.168.56.1"), ("vboxnet4", "192.168.60.1")]),
        marks(&[("homelab-0a1b2c.globex", "vboxnet0 192.168.56.1/24")]),
    ]);
    insta::assert_snapshot!(refused.await);
}

#[tokio::test]
async fn a_foreign_machine_on_our_adapter_is_refused_and_keeps_the_adapter_from_going() {
    let stranger = || machine("stranger", "running", Open("vboxnet1"));
    let refused = refused([
        adapters(&[("vboxnet1", "192.168.60.1")]),
        marks(&[(SCOPE, "vboxnet1 192.168.60.1/24")]),
        machines(&["stranger"]),
        stranger(),
    ]);
    let (virtualbox, wires) = playing([
        disks(&[]),
        marks(&[(SCOPE, "vboxnet1 192.168.60.1/24")]),
        adapters(&[("vboxnet1", "192.168.60.1")]),
        machines(&["stranger"]),
        stranger(),
    ]);
    let left = virtualbox.clear(&id("acme")).await.unwrap_err();
    insta::assert_snapshot!(format!("{}\n{}", refused.await, shown(&left)));
    assert_eq!(noted(&wires), ["alone"], "the guard stays");
}

#[tokio::test]
async fn a_foreign_machine_with_our_name_is_refused_before_anything_is_made() {
    let elsewhere = refused([
        adapters(&[]),
        marks(&[]),
        machines(&[ACME]),
        machine(ACME, "poweroff", Plugged::Bridged("eth0")),
    ]);
    let neighbours = refused([
        adapters(&[("vboxnet0", "192.168.60.1"), ("vboxnet1", "192.168.61.1")]),
        marks(&[(SCOPE, "vboxnet0 192.168.60.1/24")]),
        machines(&[ACME]),
        machine(ACME, "running", Open("vboxnet1")),
    ]);
    insta::assert_snapshot!(format!("{}\n{}", elsewhere.await, neighbours.await));
}

#[tokio::test]
async fn modules_that_are_not_loaded_are_named_with_what_loads_them() {
    let no_adapter =
        refused([adapters(&[]), marks(&[]), machines(&[]), refuses("hostonlyif create", NO_ADAPTER_MODULE)]);
    let (virtualbox, _) = playing([
        machine(ACME, "poweroff", Sealed("vboxnet1")),
        refuses(&format!("startvm {ACME} --type headless"), NO_DRIVER),
    ]);
    let off = Vm { name: ACME.to_owned(), state: VmState::Off };
    let no_power = virtualbox.power(&off, Power::Start).await.unwrap_err();
    insta::assert_snapshot!(format!("{}\n{}", no_adapter.await, shown(&no_power)));
}

#[tokio::test]
async fn a_machine_that_another_process_holds_is_left_with_the_reason() {
    let (virtualbox, _) = playing([
        machine(ACME, "poweroff", Sealed("vboxnet1")),
        refuses(&format!("unregistervm {ACME} --delete"), LOCKED),
    ]);
    insta::assert_snapshot!(shown(&virtualbox.remove(ACME).await.unwrap_err()));
}

#[tokio::test]
async fn a_machine_that_is_let_go_of_in_time_is_removed() {
    let (mut virtualbox, _) = playing([
        machine(ACME, "paused", Sealed("vboxnet1")),
        told(&format!("controlvm {ACME} poweroff")),
        refuses(&format!("unregistervm {ACME} --delete"), LOCKED),
        told(&format!("unregistervm {ACME} --delete")),
    ]);
    virtualbox.timeouts.release = Duration::from_secs(60);
    virtualbox.remove(ACME).await.unwrap();
}

#[tokio::test]
async fn a_machine_that_keeps_its_way_out_is_an_error() {
    let (virtualbox, _) = playing([
        machine(ACME, "running", Open("vboxnet1")),
        told(&format!("controlvm {ACME} setlinkstate1 off")),
        told(&format!("controlvm {ACME} natpf1 delete ssh")),
        machine(ACME, "running", Open("vboxnet1")),
    ]);
    insta::assert_snapshot!(shown(&virtualbox.seal(&acme()).await.unwrap_err()));
    let (virtualbox, _) = playing([no_machine(ACME)]);
    assert!(
        matches!(virtualbox.seal(&acme()).await, Err(EngineError::Absent { node }) if node == "acme-cp-1")
    );
}

#[tokio::test]
async fn a_state_that_nobody_knows_is_no_state() {
    let (virtualbox, _) = playing([machines(&[ACME]), machine(ACME, "dreaming", Sealed("vboxnet1"))]);
    insta::assert_snapshot!(shown(&virtualbox.machines("0a1b2c").await.unwrap_err()));
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
async fn a_host_without_virtualbox_has_nothing_of_ours_and_takes_nothing() {
    let (virtualbox, _) = on(Arc::new(Bare), "/nonexistent/networks.conf".into());
    assert_eq!(virtualbox.machines("0a1b2c").await.unwrap(), []);
    assert_eq!(virtualbox.sightings("0a1b2c").await.unwrap(), []);
    assert!(!virtualbox.clear(&id("acme")).await.unwrap());
    let error = virtualbox.prepare(&acme()).await.unwrap_err();
    insta::assert_snapshot!(shown(&error));
}
