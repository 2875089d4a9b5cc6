//! Whether QEMU can use the host's processor through KVM, or has to emulate one.

use std::fs::{self, OpenOptions};
use std::io;

/// The kernel's device for KVM (kvm(4), Documentation/virt/kvm/api.rst).
const DEVICE: &str = "/dev/kvm";
const CPUINFO: &str = "/proc/cpuinfo";
/// The processor's flag for hardware virtualisation: Intel's name for it, and AMD's.
const FLAGS: [&str; 2] = ["vmx", "svm"];

/// Why a processor has to be emulated.
#[derive(Debug, thiserror::Error)]
pub enum NoKvm {
    /// The kernel has no such device: its module is not loaded, or virtualisation is off or missing.
    #[error("there is no {DEVICE}")]
    Missing,
    /// The device exists, but this process may not open it.
    #[error("{DEVICE} cannot be opened")]
    Closed(#[source] io::Error),
    /// The device can be opened, but the processor has no hardware virtualisation, or the host is a VM whose hypervisor
    /// does not pass it on.
    #[error("the processor has neither {}", FLAGS.join(" nor "))]
    Processor,
}

impl NoKvm {
    /// A command or an action that may make KVM usable.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Missing => {
                "`modprobe kvm_intel` or `modprobe kvm_amd`; virtualisation may be off in the firmware"
            }
            Self::Closed(_) => "run with sudo, or join the group kvm",
            Self::Processor => {
                "if this host is a virtual machine, enable nested virtualisation on its hypervisor"
            }
        }
    }
}

/// Whether KVM can be used on this host.
///
/// # Errors
/// [`NoKvm`] with the reason why not.
pub fn usable() -> Result<(), NoKvm> {
    let opened = OpenOptions::new().read(true).write(true).open(DEVICE).map(drop);
    judge(opened, &fs::read_to_string(CPUINFO).unwrap_or_default())
}

/// Judges the result of opening the device and the text of `/proc/cpuinfo`. Pure. A device that can be opened proves
/// nothing: hosts without virtualisation may have it.
fn judge(opened: io::Result<()>, cpuinfo: &str) -> Result<(), NoKvm> {
    match opened {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(NoKvm::Missing),
        Err(error) => return Err(NoKvm::Closed(error)),
        Ok(()) => {}
    }
    let flags = cpuinfo.lines().filter(|line| line.starts_with("flags"));
    let has = flags.flat_map(str::split_whitespace).any(|flag| FLAGS.contains(&flag));
    if has { Ok(()) } else { Err(NoKvm::Processor) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTEL: &str = "processor\t: 0\nflags\t\t: fpu vme de vmx smx est\nvmx flags\t: vnmi\n";
    const AMD: &str = "processor\t: 0\nflags\t\t: fpu vme svm extapic\n";
    const NEITHER: &str = "processor\t: 0\nmodel name\t: one with vmx\nflags\t\t: fpu vme hypervisor svml\n";

    fn failed(kind: io::ErrorKind) -> io::Result<()> {
        Err(kind.into())
    }

    #[test]
    fn kvm_is_usable_if_the_device_opens_and_the_processor_supports_it() {
        for cpuinfo in [INTEL, AMD] {
            assert!(judge(Ok(()), cpuinfo).is_ok());
        }
    }

    #[test]
    fn kvm_is_not_usable_on_a_processor_without_support_even_if_the_device_opens() {
        for cpuinfo in [NEITHER, ""] {
            assert!(matches!(judge(Ok(()), cpuinfo), Err(NoKvm::Processor)));
        }
    }

    #[test]
    fn each_reason_for_missing_kvm_is_reported_with_a_remedy() {
        let all = [
            judge(failed(io::ErrorKind::NotFound), INTEL),
            judge(failed(io::ErrorKind::PermissionDenied), INTEL),
        ];
        let all = all.into_iter().chain([judge(Ok(()), NEITHER)]);
        let said: Vec<String> = all
            .map(|answer| answer.expect_err("no KVM"))
            .map(|why| format!("{}: {}", crate::error::chain(&why), why.remedy()))
            .collect();
        insta::assert_snapshot!(said.join("\n"), @r"
        there is no /dev/kvm: `modprobe kvm_intel` or `modprobe kvm_amd`; virtualisation may be off in the firmware
        /dev/kvm cannot be opened: permission denied: run with sudo, or join the group kvm
        the processor has neither vmx nor svm: if this host is a virtual machine, enable nested virtualisation on its hypervisor
        ");
    }
}
