//! The outputs of host tools, which differ between versions and hosts.

use std::sync::{Arc, Mutex};

use futures::future::BoxFuture;

use provisioner::assets::Assets;
use provisioner::engine::{Engine, VagrantEngine};
use provisioner::exec::{Command, CommandError, Output, Runner};
use provisioner::fuzzing;
use provisioner::request::Provider;

/// `podman ps`, `podman container inspect`, and the published ports in both.
pub fn podman(data: &[u8]) {
    fuzzing::read_podman(data);
    harness::audit::read_forwards(&String::from_utf8_lossy(data));
}

/// `nft --json list …`, and the rules that forward packets, also those of iptables.
pub fn nft(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    fuzzing::read_nft(&text);
    harness::audit::read_forwards(&text);
}

/// Netlink messages of the kernel's log group (NFLOG).
pub fn netlink(data: &[u8]) {
    fuzzing::read_netlink(data);
}

/// `vagrant box list --machine-readable`.
pub fn vagrant(data: &[u8]) {
    fuzzing::read_vagrant(&String::from_utf8_lossy(data));
}

/// `VBoxManage list …`, `showvminfo`, `getextradata`.
pub fn virtualbox(data: &[u8]) {
    fuzzing::read_virtualbox(&String::from_utf8_lossy(data));
}

/// All answers of `virsh` that sightings need, separated by lines `--`.
///
/// # Panics
/// When a sighting does not have this home's prefix.
pub fn virsh(data: &[u8]) {
    let answers = Arc::new(Answers(Mutex::new(data.to_vec())));
    let assets = Assets::in_cache("/nonexistent");
    let engine = VagrantEngine::on(answers, "0a1b2c", Provider::Libvirt, Vec::new(), assets);
    let seen = futures::executor::block_on(engine.sightings()).unwrap_or_default();
    assert!(seen.iter().all(|one| one.name.starts_with("homelab-0a1b2c.")), "{seen:?}");
}

/// A runner that answers each command with the next part of the bytes.
#[derive(Debug)]
struct Answers(Mutex<Vec<u8>>);

impl Runner for Answers {
    fn run<'a>(&'a self, _: &'a Command) -> BoxFuture<'a, Result<Output, CommandError>> {
        let mut left = self.0.lock().unwrap();
        let end = crate::place::find(&left, b"--\n").unwrap_or(left.len());
        let stdout: Vec<u8> = left.drain(..end).collect();
        let mark = left.len().min(3);
        left.drain(..mark);
        Box::pin(std::future::ready(Ok(Output { stdout, stderr: Vec::new() })))
    }
}
