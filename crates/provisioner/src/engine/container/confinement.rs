//! What a node may do on the host's kernel: its capabilities and system calls.
//!
//! Devices are podman's default: null, zero, full, random, urandom, tty and terminals. The node's cgroup allows no
//! others, and `homelab-init` moves the node's processes below that cgroup, where root cannot change its list.

use std::fs;

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::json;

use crate::files::failed;

use super::EngineError;

/// The capabilities (capabilities(7)) that a node does not get. They act on the host and on other nodes, and no part of
/// Kubernetes needs them:
///
/// - `DAC_READ_SEARCH`: open any file of a mounted disk by its handle (open_by_handle_at(2)).
/// - `SYS_MODULE`, `SYS_RAWIO`, `SYS_BOOT`, `SYS_TIME`: change the kernel, its memory, its end and its clock.
/// - `SYSLOG`, `AUDIT_CONTROL`, `AUDIT_READ`: read and clear the kernel's messages, read the audit log and change its
///   rules.
/// - `MAC_ADMIN`, `MAC_OVERRIDE`: change and ignore the rules of the host's security module.
/// - `WAKE_ALARM`, `BLOCK_SUSPEND`: wake the host, and keep it awake.
const DROPPED: [&str; 12] = [
    "dac_read_search",
    "sys_module",
    "sys_rawio",
    "sys_boot",
    "sys_time",
    "syslog",
    "audit_control",
    "audit_read",
    "mac_admin",
    "mac_override",
    "wake_alarm",
    "block_suspend",
];

/// The calls of the kernel's keyrings (keyrings(7)). All users with number 0 have one keyring, whatever container they
/// are in.
const KEYRINGS: [&str; 3] = ["add_key", "keyctl", "request_key"];

/// What a kernel without keyrings answers: runc accepts this answer and no other (ENOSYS, errno(3)).
const NO_SUCH_CALL: u32 = 38;

/// The path of a node's seccomp profile.
fn profile_path(node_folder: &Utf8Path) -> Utf8PathBuf {
    node_folder.join("seccomp.json")
}

/// Writes a node's seccomp profile. To be called before the node's first start.
pub(super) fn write(node_folder: &Utf8Path) -> Result<(), EngineError> {
    let path = profile_path(node_folder);
    fs::write(&path, profile()).map_err(failed("write", &path)).map_err(EngineError::File)
}

/// The options of `podman run` that confine a node. Pure.
pub(super) fn options(node_folder: &Utf8Path) -> Vec<String> {
    let mut options = vec!["--cap-add".to_owned(), "all".to_owned()];
    options.extend(DROPPED.iter().flat_map(|one| ["--cap-drop".to_owned(), (*one).to_owned()]));
    let security =
        [&format!("seccomp={}", profile_path(node_folder)), "apparmor=unconfined", "label=disable"];
    options.extend(security.iter().flat_map(|one| ["--security-opt".to_owned(), (*one).to_owned()]));
    options
}

/// A seccomp profile in podman's format that refuses only the calls of keyrings. Pods inherit it, privileged ones as
/// well. Pure.
fn profile() -> String {
    let architecture =
        |name: &str, others: &[&str]| json!({ "architecture": name, "subArchitectures": others });
    let profile = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "archMap": [
            architecture("SCMP_ARCH_X86_64", &["SCMP_ARCH_X86", "SCMP_ARCH_X32"]),
            architecture("SCMP_ARCH_AARCH64", &["SCMP_ARCH_ARM"]),
        ],
        "syscalls": [{ "names": KEYRINGS, "action": "SCMP_ACT_ERRNO", "errnoRet": NO_SUCH_CALL }],
    });
    format!("{profile:#}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_profile_refuses_the_calls_of_keyrings_and_no_others() {
        insta::assert_snapshot!(profile());
    }

    #[test]
    fn a_node_has_no_option_that_gives_it_the_devices_of_the_host() {
        let options = options("/nodes/n".into());
        assert!(!options.iter().any(|one| one.contains("privileged") || one.contains("device")));
        assert!(options.contains(&"seccomp=/nodes/n/seccomp.json".to_owned()));
    }
}
