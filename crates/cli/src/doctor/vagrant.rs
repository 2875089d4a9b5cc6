//! Whether this host can run virtual machines. Pure.
//!
//! Nobody has to: what is missing is bad only where the settings choose it.

use provisioner::engine::Lack;
use provisioner::engine::networks_conf;
use provisioner::settings::EngineFamily;
use provisioner::spec::Provider;

use super::{Check, Grade, good, note};

/// What is known of virtual machines on this host.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    /// What the settings choose.
    pub(crate) engine: EngineFamily,
    /// The provider that the settings choose.
    pub(crate) provider: Option<Provider>,
    /// What Vagrant says of itself, if it is there: `Vagrant 2.3.4`.
    pub(crate) vagrant: Option<String>,
    /// What each provider lacks.
    pub(crate) lacks: Vec<(Provider, Vec<Lack>)>,
    /// Why QEMU has to emulate a processor, and what to do about it; nothing where it need not.
    pub(crate) no_kvm: Option<(String, &'static str)>,
    /// VirtualBox, where it is installed.
    pub(crate) virtualbox: Option<VirtualBox>,
}

/// What is known of VirtualBox.
#[derive(Debug, Clone)]
pub(crate) struct VirtualBox {
    /// Whether its kernel module is loaded.
    pub(crate) has_module: bool,
    /// What `networks.conf` lacks before the networks of instances are allowed.
    pub(crate) lines: Vec<String>,
}

/// All checks; `said` are lacks that were told already.
pub(super) fn checks(facts: &Facts, said: &[Lack]) -> Vec<Check> {
    let chosen = facts.chosen();
    let Some(version) = &facts.vagrant else {
        let grade = if facts.engine == EngineFamily::Vagrant { Grade::Bad } else { Grade::Note };
        let what = "no virtual machines: Vagrant is not installed".to_owned();
        let remedy = Some("`apt-get install vagrant vagrant-libvirt`, for --engine vagrant only".to_owned());
        return vec![Check { grade, what, remedy }];
    };
    let mut checks = vec![good(version.clone())];
    for (provider, lacks) in &facts.lacks {
        checks.extend(of_provider(*provider, lacks, said, chosen == Some(*provider)));
    }
    checks.push(match &facts.no_kvm {
        None => good("KVM: virtual machines use the processor itself".to_owned()),
        Some((why, remedy)) => {
            let slow = "QEMU emulates a processor, and a single-node cluster takes about 2 to 5 minutes instead of 1";
            note(&format!("no KVM, {why}: {slow}"), remedy)
        }
    });
    let grade = if chosen == Some(Provider::Virtualbox) { Grade::Bad } else { Grade::Note };
    checks.extend(facts.virtualbox.iter().flat_map(|it| of_virtualbox(it, grade)));
    checks
}

impl Facts {
    /// The provider whose lacks are the user's own: the one that is set, or without one the first that lacks nothing,
    /// or else the first.
    fn chosen(&self) -> Option<Provider> {
        let ready = || self.lacks.iter().find(|(_, lacks)| lacks.is_empty()).map(|(provider, _)| *provider);
        match self.engine {
            EngineFamily::Container => None,
            EngineFamily::Vagrant => self.provider.or_else(ready).or(Some(Provider::ALL[0])),
        }
    }
}

/// A provider that is chosen has a line for each lack, any other one line.
fn of_provider(provider: Provider, lacks: &[Lack], said: &[Lack], is_chosen: bool) -> Vec<Check> {
    if lacks.is_empty() {
        return vec![good(format!("everything to run virtual machines with {provider} is there"))];
    }
    let own: Vec<&Lack> = lacks.iter().filter(|lack| !said.contains(lack)).collect();
    if is_chosen {
        return own
            .iter()
            .map(|lack| Check {
                grade: Grade::Bad,
                what: lack.what.clone(),
                remedy: Some(lack.remedy.clone()),
            })
            .collect();
    }
    let told: Vec<String> = own.iter().map(ToString::to_string).collect();
    let remedy = if told.is_empty() { "the same is missing".to_owned() } else { told.join("; ") };
    vec![note(&format!("no virtual machines with {provider}"), &remedy)]
}

fn of_virtualbox(virtualbox: &VirtualBox, grade: Grade) -> Vec<Check> {
    let check = |what: &str, remedy: String| Check { grade, what: what.to_owned(), remedy: Some(remedy) };
    let module = match virtualbox.has_module {
        true => good("the kernel module of VirtualBox is loaded".to_owned()),
        false => check(
            "the kernel module of VirtualBox is not loaded",
            "`modprobe vboxdrv`, or `/sbin/vboxconfig` builds it".to_owned(),
        ),
    };
    let path = networks_conf::PATH;
    let networks = match virtualbox.lines.as_slice() {
        [] => good(format!("{path} allows the networks of instances")),
        lines => check(
            "VirtualBox does not allow the networks of instances",
            format!("these lines in {path}: {}", lines.join(", ")),
        ),
    };
    vec![module, networks]
}

#[cfg(test)]
mod tests {
    use super::super::tests::lack;
    use super::*;

    /// A host with Vagrant that is ready for libvirt.
    fn ready() -> Facts {
        let virtualbox = vec![lack("VBoxManage", "install VirtualBox")];
        Facts {
            engine: EngineFamily::Container,
            provider: None,
            vagrant: Some("Vagrant 2.3.4".to_owned()),
            lacks: vec![(Provider::Libvirt, Vec::new()), (Provider::Virtualbox, virtualbox)],
            no_kvm: None,
            virtualbox: None,
        }
    }

    /// A host that lacks something for everything.
    fn lacking() -> Facts {
        let libvirt = vec![lack("root", "sudo"), lack("libvirtd", "systemctl start libvirtd")];
        let mut facts = Facts {
            no_kvm: Some(("there is no /dev/kvm".to_owned(), "modprobe kvm_intel")),
            virtualbox: Some(VirtualBox {
                has_module: false,
                lines: vec!["* 192.168.56.0/21".to_owned(), "* 192.168.48.0/20".to_owned()],
            }),
            ..ready()
        };
        facts.lacks[0].1 = libvirt;
        facts
    }

    fn told(facts: &Facts) -> String {
        let said = [lack("root", "sudo")];
        let lines = checks(facts, &said).into_iter().map(|check| {
            let remedy = check.remedy.map(|remedy| format!(" → {remedy}")).unwrap_or_default();
            format!("{:?} {}{remedy}", check.grade, check.what)
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    fn is_bad(facts: &Facts) -> bool {
        checks(facts, &[]).iter().any(|check| check.grade == Grade::Bad)
    }

    #[test]
    fn a_host_that_is_ready_for_one_provider() {
        insta::assert_snapshot!(told(&ready()));
    }

    #[test]
    fn what_is_missing_is_a_note_where_containers_are_made_and_bad_where_virtual_machines_are_chosen() {
        let chosen = |provider| Facts { engine: EngineFamily::Vagrant, provider, ..lacking() };
        let all = [
            ("containers", lacking()),
            ("vagrant", chosen(None)),
            ("virtualbox", chosen(Some(Provider::Virtualbox))),
        ];
        insta::assert_snapshot!(all.map(|(name, facts)| format!("{name}\n{}\n", told(&facts))).join("\n"));
    }

    #[test]
    fn a_host_without_vagrant_is_fine_as_long_as_nobody_chooses_it() {
        let without = Facts { vagrant: None, ..lacking() };
        assert!(!is_bad(&without));
        assert!(is_bad(&Facts { engine: EngineFamily::Vagrant, ..without }));
    }

    #[test]
    fn one_provider_that_is_ready_is_enough_where_none_is_chosen() {
        assert!(!is_bad(&Facts { engine: EngineFamily::Vagrant, ..ready() }));
        let set = Facts { engine: EngineFamily::Vagrant, provider: Some(Provider::Virtualbox), ..ready() };
        assert!(is_bad(&set));
    }

    #[test]
    fn no_kvm_is_never_bad() {
        let slow = Facts { no_kvm: lacking().no_kvm, engine: EngineFamily::Vagrant, ..ready() };
        assert!(!is_bad(&slow));
        assert!(told(&slow).contains("2 to 5 minutes instead of 1"));
    }
}
