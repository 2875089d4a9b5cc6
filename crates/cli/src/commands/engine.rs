//! The engine and the size of a new cluster's nodes: from the command line, else from the settings, else by what this
//! host supports.

use clap::Args;
use provisioner::Provisioner;
use provisioner::request::{ClusterSpec, EngineKind, NodeSize, Provider};
use provisioner::settings::{EngineFamily, Settings};

use crate::exit::Refusal;
use crate::values::named;

/// The options for the engine and the size of nodes.
#[derive(Debug, Args)]
pub(crate) struct EngineArgs {
    /// Engine of the nodes: container runs podman containers, which share the host's kernel; vagrant runs VMs with
    /// their own kernels [default: the engine in ~/.homelab/config.yaml, or container]
    #[arg(long, value_parser = named(EngineFamily::ALL.map(|family| (family.as_str(), family))))]
    engine: Option<EngineFamily>,
    /// Hypervisor of the VMs, with the engine vagrant only [default: the provider in ~/.homelab/config.yaml, or the
    /// first one whose requirements this host meets]
    #[arg(long, value_parser = providers())]
    provider: Option<Provider>,
    /// Processors of each VM, with the engine vagrant only [default: the number in ~/.homelab/config.yaml, or 2]
    #[arg(long, value_name = "N")]
    cpus: Option<u8>,
    /// Memory of each VM in MiB, with the engine vagrant only [default: the size in ~/.homelab/config.yaml, or 2560]
    #[arg(long, value_name = "MIB")]
    memory: Option<u32>,
}

/// Parses a provider by its name. The error for an unknown name lists all providers.
pub(crate) fn providers() -> impl clap::builder::TypedValueParser<Value = Provider> {
    named(Provider::ALL.map(|provider| (provider.as_str(), provider)))
}

/// The wanted engine, before this host is inspected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// This engine.
    Kind(EngineKind),
    /// VMs, by the first provider whose requirements this host meets.
    AnyProvider,
}

impl EngineArgs {
    /// Sets engine and size in a spec. If the provider is still open, the spec gets the first of all providers: the
    /// check of a spec does not depend on the provider.
    ///
    /// # Errors
    /// [`Refusal::NotVirtual`] with the options that the container engine does not have.
    pub(crate) fn apply(
        &self,
        spec: ClusterSpec,
        settings: &Settings,
    ) -> Result<(ClusterSpec, Wanted), Refusal> {
        if self.engine.unwrap_or(settings.engine) == EngineFamily::Container {
            let asked = self.vm_options();
            return match asked.is_empty() {
                true => Ok((spec.engine(EngineKind::Container), Wanted::Kind(EngineKind::Container))),
                false => Err(Refusal::NotVirtual { asked, engine: self.engine }),
            };
        }
        let usual = settings.vagrant.size;
        let size = NodeSize {
            cpus: self.cpus.unwrap_or(usual.cpus),
            memory_mib: self.memory.unwrap_or(usual.memory_mib),
        };
        let provider = self.provider.or(settings.vagrant.provider);
        let wanted = provider.map_or(Wanted::AnyProvider, |it| Wanted::Kind(EngineKind::Vagrant(it)));
        let engine = EngineKind::Vagrant(provider.unwrap_or(Provider::ALL[0]));
        Ok((spec.engine(engine).size(size), wanted))
    }

    /// The given options that only VMs have, as they were typed.
    fn vm_options(&self) -> Vec<String> {
        let provider = self.provider.map(|provider| format!("--provider {provider}"));
        let cpus = self.cpus.map(|cpus| format!("--cpus {cpus}"));
        let memory = self.memory.map(|memory| format!("--memory {memory}"));
        [provider, cpus, memory].into_iter().flatten().collect()
    }
}

impl Wanted {
    /// The engine on this host. Checking the requirements of providers needs root.
    pub(crate) async fn here(self, provisioner: &Provisioner) -> EngineKind {
        match self {
            Self::Kind(kind) => kind,
            Self::AnyProvider => EngineKind::Vagrant(provisioner.provider().await),
        }
    }
}

#[cfg(test)]
mod tests {
    use provisioner::settings::Vagrant;

    use super::*;

    const NOTHING: EngineArgs = EngineArgs { engine: None, provider: None, cpus: None, memory: None };

    fn vagrant(provider: Option<Provider>) -> Settings {
        let size = NodeSize { cpus: 3, memory_mib: 4096 };
        Settings { engine: EngineFamily::Vagrant, vagrant: Vagrant { provider, size }, ..Settings::default() }
    }

    fn applied(machines: &EngineArgs, settings: &Settings) -> (EngineKind, Option<NodeSize>, Wanted) {
        let (spec, wanted) = machines.apply(ClusterSpec::new("acme"), settings).expect("it can be");
        (spec.engine, spec.size, wanted)
    }

    #[test]
    fn the_engine_is_that_of_the_option_else_of_the_settings_else_containers() {
        let container = (EngineKind::Container, None, Wanted::Kind(EngineKind::Container));
        assert_eq!(applied(&NOTHING, &Settings::default()), container);
        let set = vagrant(Some(Provider::Virtualbox));
        let kind = EngineKind::Vagrant(Provider::Virtualbox);
        assert_eq!(applied(&NOTHING, &set), (kind, Some(set.vagrant.size), Wanted::Kind(kind)));
        let said = EngineArgs { engine: Some(EngineFamily::Container), ..NOTHING };
        assert_eq!(applied(&said, &set), container);
    }

    #[test]
    fn options_override_the_settings() {
        let said = EngineArgs { provider: Some(Provider::Libvirt), cpus: Some(8), ..NOTHING };
        let kind = EngineKind::Vagrant(Provider::Libvirt);
        let size = NodeSize { cpus: 8, memory_mib: 4096 };
        let set = vagrant(Some(Provider::Virtualbox));
        assert_eq!(applied(&said, &set), (kind, Some(size), Wanted::Kind(kind)));
    }

    #[test]
    fn without_a_chosen_provider_any_provider_will_do() {
        let said = EngineArgs { engine: Some(EngineFamily::Vagrant), ..NOTHING };
        for settings in [Settings::default(), vagrant(None)] {
            assert_eq!(applied(&said, &settings).2, Wanted::AnyProvider);
        }
    }

    #[test]
    fn options_of_vms_are_refused_for_containers_and_all_are_named() {
        let engine = Some(EngineFamily::Container);
        let (provider, cpus, memory) = (Some(Provider::Libvirt), Some(2), Some(2560));
        for engine in [None, engine] {
            let all = EngineArgs { engine, provider, cpus, memory };
            let refused = all.apply(ClusterSpec::new("acme"), &Settings::default()).expect_err("refused");
            assert!(refused.to_string().contains("--provider libvirt, --cpus 2, --memory 2560"), "{refused}");
        }
    }
}
