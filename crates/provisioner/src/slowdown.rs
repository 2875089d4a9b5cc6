//! Slowdown: how much longer everything takes where a processor is emulated. Only this module stretches durations.
//!
//! A plain [`Duration`] in the code is the longest time in a container on a dedicated processor. [`Slowdown::stretch`]
//! makes a [`Stretched`] of it, and a `Stretched` cannot be stretched again:
//!
//! ```compile_fail,E0308
//! # use provisioner::slowdown::Slowdown;
//! # use std::time::Duration;
//! let within = Slowdown::EMULATED.stretch(Duration::from_secs(180));
//! Slowdown::EMULATED.stretch(within); // five hours
//! ```
//!
//! A function that waits for a cluster takes a `Stretched`, and a plain duration does not compile:
//!
//! ```compile_fail,E0308
//! # use provisioner::slowdown::Stretched;
//! # use std::time::Duration;
//! fn wait_for_the_cluster(within: Stretched) {}
//! wait_for_the_cluster(Duration::from_secs(180)); // too short on an emulated processor
//! ```
//!
//! A command takes both. Its runner, on this host or in a node, stretches a plain duration once
//! ([`Command::deadline`](crate::exec::Command::deadline)).

use std::fmt;
use std::ops::Add;
use std::sync::LazyLock;
use std::time::Duration;

/// A factor: how many times as long something may take as in a container on a dedicated processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slowdown(u32);

impl Slowdown {
    /// 1: containers on a host whose processor is real, or virtualised by hardware.
    pub const NONE: Self = Self(1);
    /// 2: VMs with hardware virtualisation (KVM, VirtualBox). They boot a kernel and share the host's processors.
    pub const VIRTUAL: Self = Self(2);
    /// 10: a processor that QEMU translates (TCG), be it a VM's or this host's own.
    pub const EMULATED: Self = Self(10);

    /// The slowdown of this host, determined once per process.
    pub fn of_host() -> Self {
        static OF_HOST: LazyLock<Slowdown> =
            LazyLock::new(|| if is_emulated(hypervisor()) { Slowdown::EMULATED } else { Slowdown::NONE });
        *OF_HOST
    }

    /// The longest time here for something that may take `usual` in a container.
    pub fn stretch(self, usual: Duration) -> Stretched {
        Stretched(usual.saturating_mul(self.0))
    }
}

/// A duration by the clock, which is never stretched again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stretched(Duration);

impl Stretched {
    /// A duration that must not be stretched, because a user has chosen it or it was computed from a stretched one.
    pub fn exactly(chosen: Duration) -> Self {
        Self(chosen)
    }

    /// The duration itself, for timers.
    pub fn on_clock(self) -> Duration {
        self.0
    }

    /// Whole seconds, for programs that take a time-out.
    pub fn as_secs(self) -> u64 {
        self.0.as_secs()
    }

    /// Milliseconds, for probers.
    pub fn as_millis(self) -> u64 {
        u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX)
    }
}

impl Add for Stretched {
    type Output = Self;

    fn add(self, more: Self) -> Self {
        Self(self.0.saturating_add(more.0))
    }
}

/// Whole seconds as programs take them: `180s`.
impl fmt::Display for Stretched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}s", self.0.as_secs())
    }
}

/// The name of the hypervisor on which this host runs, as CPUID tells it; `None` on hardware. Bit 31 of ECX in leaf 1
/// says that leaf 0x40000000 is a hypervisor's (Intel SDM, CPUID; kernel.org, `virt/kvm/x86/cpuid.rst`).
#[cfg(target_arch = "x86_64")]
fn hypervisor() -> Option<[u8; 12]> {
    use std::arch::x86_64::__cpuid;
    if __cpuid(1).ecx >> 31 == 0 {
        return None;
    }
    let leaf = __cpuid(0x4000_0000);
    let mut name = [0; 12];
    for (part, register) in name.chunks_exact_mut(4).zip([leaf.ebx, leaf.ecx, leaf.edx]) {
        part.copy_from_slice(&register.to_le_bytes());
    }
    Some(name)
}

/// Other processors have no CPUID.
#[cfg(not(target_arch = "x86_64"))]
fn hypervisor() -> Option<[u8; 12]> {
    None
}

/// Whether this hypervisor translates instructions. QEMU without an accelerator gives this name (`target/i386/cpu.c`);
/// with KVM it gives KVM's name. Pure.
fn is_emulated(hypervisor: Option<[u8; 12]>) -> bool {
    hypervisor.as_ref() == Some(b"TCGTCGTCGTCG")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_qemu_without_an_accelerator_is_an_emulated_processor() {
        assert!(is_emulated(Some(*b"TCGTCGTCGTCG")));
        for other in [b"KVMKVMKVM\0\0\0", b"VBoxVBoxVBox", b"VMwareVMware", b"Microsoft Hv"] {
            assert!(!is_emulated(Some(*other)), "{}", String::from_utf8_lossy(other));
        }
        assert!(!is_emulated(None));
    }

    #[test]
    fn an_endless_duration_stays_endless() {
        assert_eq!(Slowdown::EMULATED.stretch(Duration::MAX).on_clock(), Duration::MAX);
    }
}
