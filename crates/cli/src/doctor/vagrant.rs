//! Whether this host can run VMs. Pure.
//!
//! VMs are optional: a missing requirement is bad only if the settings choose the engine and the provider that need it.

use provisioner::engine::MissingRequirement;
use provisioner::engine::networks_conf;
use provisioner::request::Provider;
use provisioner::settings::EngineFamily;

use super::{Check, Grade, good, note};

/// The facts about VMs on this host.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    /// The engine in the settings.
    pub(crate) engine: EngineFamily,
    /// The provider in the settings; `None` if they name none.
    pub(crate) provider: Option<Provider>,
    /// The output of `vagrant --version`, such as `Vagrant 2.3.4`; `None` if Vagrant is not installed.
    pub(crate) vagrant: Option<String>,
    /// The missing requirements of each provider.
    pub(crate) lacks: Vec<(Provider, Vec<MissingRequirement>)>,
    /// Why KVM cannot be used, so that QEMU emulates the processor, and the remedy; `None` if KVM can be used.
    pub(crate) no_kvm: Option<(String, &'static str)>,
    /// The facts about VirtualBox; `None` if it is not installed.
    pub(crate) virtualbox: Option<VirtualBox>,
}

/// The facts about VirtualBox.
#[derive(Debug, Clone)]
pub(crate) struct VirtualBox {
    /// Whether its kernel module is loaded.
    pub(crate) has_module: bool,
    /// The lines that are missing in `networks.conf` to allow the networks of instances.
    pub(crate) lines: Vec<String>,
}

/// All checks. `said` are the missing requirements that are already reported.
pub(super) fn checks(facts: &Facts, said: &[MissingRequirement]) -> Vec<Check> {
    let chosen = facts.chosen();
    let Some(version) = &facts.vagrant else {
        let grade = if facts.engine == EngineFamily::Vagrant { Grade::Bad } else { Grade::Note };
        let what = "this host cannot run VMs: Vagrant is not installed".to_owned();
        let remedy =
            Some("`apt-get install vagrant vagrant-libvirt`; only `--engine vagrant` needs it".to_owned());
        return vec![Check { grade, what, remedy }];
    };
    let mut checks = vec![good(version.clone())];
    for (provider, lacks) in &facts.lacks {
        checks.extend(of_provider(*provider, lacks, said, chosen == Some(*provider)));
    }
    checks.push(match &facts.no_kvm {
        None => good("KVM can be used: VMs run on the processor itself".to_owned()),
        Some((why, remedy)) => {
            let slow =
                "QEMU emulates the processor, and a single-node cluster takes about 2 to 5 minutes instead of 1";
            note(&format!("KVM cannot be used, {why}: {slow}"), remedy)
        }
    });
    let grade = if chosen == Some(Provider::Virtualbox) { Grade::Bad } else { Grade::Note };
    checks.extend(facts.virtualbox.iter().flat_map(|it| of_virtualbox(it, grade)));
    checks
}

impl Facts {
    /// The provider whose missing requirements are bad: the one in the settings, else the first whose requirements are
    /// met, else the first of all. `None` with the container engine.
    fn chosen(&self) -> Option<Provider> {
        let ready = || self.lacks.iter().find(|(_, lacks)| lacks.is_empty()).map(|(provider, _)| *provider);
        match self.engine {
            EngineFamily::Container => None,
            EngineFamily::Vagrant => self.provider.or_else(ready).or(Some(Provider::ALL[0])),
        }
    }
}

/// The checks of a provider: one for each missing requirement of the chosen provider, a single one for any other.
fn of_provider(
    provider: Provider,
    lacks: &[MissingRequirement],
    said: &[MissingRequirement],
    is_chosen: bool,
) -> Vec<Check> {
    if lacks.is_empty() {
        return vec![good(format!("all requirements for running VMs with {provider} are met"))];
    }
    let own: Vec<&MissingRequirement> = lacks.iter().filter(|lack| !said.contains(lack)).collect();
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
    let remedy =
        if told.is_empty() { "the requirements above are missing".to_owned() } else { told.join("; ") };
    vec![note(&format!("this host cannot run VMs with {provider}"), &remedy)]
}

fn of_virtualbox(virtualbox: &VirtualBox, grade: Grade) -> Vec<Check> {
    let check = |what: &str, remedy: String| Check { grade, what: what.to_owned(), remedy: Some(remedy) };
    let module = match virtualbox.has_module {
        true => good("the kernel module of VirtualBox is loaded".to_owned()),
        false => check(
            "the kernel module of VirtualBox is not loaded",
            "`modprobe vboxdrv` loads it; if it is missing, `/sbin/vboxconfig` builds it".to_owned(),
        ),
    };
    let path = networks_conf::PATH;
    let networks = match virtualbox.lines.as_slice() {
        [] => good(format!("{path} allows the networks of instances")),
        lines => check(
            "VirtualBox does not allow the networks of instances",
            format!("add these lines to {path}: {}", lines.join(", ")),
        ),
    };
    vec![module, networks]
}

#[cfg(test)]
mod tests {
    use super::super::tests::lack;
    use super::*;

    /// A host with Vagrant that meets the requirements of libvirt.
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

    /// A host on which each provider misses a requirement.
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
    fn a_host_ready_for_one_provider_gets_a_note_on_the_other() {
        insta::assert_snapshot!(told(&ready()));
    }

    #[test]
    fn a_missing_requirement_of_vms_is_a_note_for_containers_and_bad_for_vms() {
        let chosen = |provider| Facts { engine: EngineFamily::Vagrant, provider, ..lacking() };
        let all = [
            ("containers", lacking()),
            ("vagrant", chosen(None)),
            ("virtualbox", chosen(Some(Provider::Virtualbox))),
        ];
        insta::assert_snapshot!(all.map(|(name, facts)| format!("{name}\n{}\n", told(&facts))).join("\n"));
    }

    #[test]
    fn a_host_without_vagrant_is_bad_only_if_the_settings_choose_vagrant() {
        let without = Facts { vagrant: None, ..lacking() };
        assert!(!is_bad(&without));
        assert!(is_bad(&Facts { engine: EngineFamily::Vagrant, ..without }));
    }

    #[test]
    fn one_ready_provider_is_enough_if_none_is_chosen() {
        assert!(!is_bad(&Facts { engine: EngineFamily::Vagrant, ..ready() }));
        let set = Facts { engine: EngineFamily::Vagrant, provider: Some(Provider::Virtualbox), ..ready() };
        assert!(is_bad(&set));
    }

    #[test]
    fn missing_kvm_is_never_bad() {
        let slow = Facts { no_kvm: lacking().no_kvm, engine: EngineFamily::Vagrant, ..ready() };
        assert!(!is_bad(&slow));
        assert!(told(&slow).contains("2 to 5 minutes instead of 1"));
    }
}
