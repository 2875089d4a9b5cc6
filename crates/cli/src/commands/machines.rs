//! What makes the nodes of a new cluster: as typed, else as set, else as this host is ready for.

use clap::Args;
use provisioner::Provisioner;
use provisioner::settings::{EngineFamily, Settings};
use provisioner::spec::{ClusterSpec, EngineKind, NodeSize, Provider};

use crate::exit::Refusal;
use crate::values::named;

/// The part of a command line that says what nodes are.
#[derive(Debug, Args)]
pub(crate) struct Machines {
    /// What makes the nodes: podman, as containers that share this host's kernel, or Vagrant, as virtual machines with
    /// kernels of their own [default: container, or as ~/.homelab/config.yaml says]
    #[arg(long, value_parser = named(EngineFamily::ALL.map(|family| (family.as_str(), family))))]
    engine: Option<EngineFamily>,
    /// The hypervisor of virtual machines [default: as ~/.homelab/config.yaml says, or the first that this host is
    /// ready for]
    #[arg(long, value_parser = providers())]
    provider: Option<Provider>,
    /// How many processors each virtual machine gets [default: 2, or as ~/.homelab/config.yaml says]
    #[arg(long, value_name = "N")]
    cpus: Option<u8>,
    /// How much memory each virtual machine gets, in MiB [default: 2560, or as ~/.homelab/config.yaml says]
    #[arg(long, value_name = "MB")]
    memory: Option<u32>,
}

/// A provider by its name.
pub(crate) fn providers() -> impl clap::builder::TypedValueParser<Value = Provider> {
    named(Provider::ALL.map(|provider| (provider.as_str(), provider)))
}

/// What nodes are to be, before this host was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// These.
    Kind(EngineKind),
    /// Virtual machines by whichever provider this host is ready for.
    AnyProvider,
}

impl Machines {
    /// Says in a spec what is known already. A provider that is still open is the first one there, which makes no
    /// difference for what a spec may be.
    ///
    /// # Errors
    /// [`Refusal::NotVirtual`] with what containers do not have.
    pub(crate) fn apply(
        &self,
        spec: ClusterSpec,
        settings: &Settings,
    ) -> Result<(ClusterSpec, Wanted), Refusal> {
        if self.engine.unwrap_or(settings.engine) == EngineFamily::Container {
            let asked = self.of_virtual_machines();
            return match asked.is_empty() {
                true => Ok((spec.engine(EngineKind::Container), Wanted::Kind(EngineKind::Container))),
                false => Err(Refusal::NotVirtual { asked, engine: self.engine }),
            };
        }
        let usual = settings.vagrant.size;
        let size = NodeSize {
            cpus: self.cpus.unwrap_or(usual.cpus),
            memory_mb: self.memory.unwrap_or(usual.memory_mb),
        };
        let provider = self.provider.or(settings.vagrant.provider);
        let wanted = provider.map_or(Wanted::AnyProvider, |it| Wanted::Kind(EngineKind::Vagrant(it)));
        let engine = EngineKind::Vagrant(provider.unwrap_or(Provider::ALL[0]));
        Ok((spec.engine(engine).size(size), wanted))
    }

    /// The options that were typed and mean nothing to containers, as they were typed.
    fn of_virtual_machines(&self) -> Vec<String> {
        let provider = self.provider.map(|provider| format!("--provider {provider}"));
        let cpus = self.cpus.map(|cpus| format!("--cpus {cpus}"));
        let memory = self.memory.map(|memory| format!("--memory {memory}"));
        [provider, cpus, memory].into_iter().flatten().collect()
    }
}

impl Wanted {
    /// What it is on this host. Takes root to find out about providers.
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

    const NOTHING: Machines = Machines { engine: None, provider: None, cpus: None, memory: None };

    fn vagrant(provider: Option<Provider>) -> Settings {
        let size = NodeSize { cpus: 3, memory_mb: 4096 };
        Settings { engine: EngineFamily::Vagrant, vagrant: Vagrant { provider, size }, ..Settings::default() }
    }

    fn applied(machines: &Machines, settings: &Settings) -> (EngineKind, Option<NodeSize>, Wanted) {
        let (spec, wanted) = machines.apply(ClusterSpec::new("acme"), settings).expect("it can be");
        (spec.engine, spec.size, wanted)
    }

    #[test]
    fn what_is_not_said_is_as_set_and_what_is_not_set_is_a_container() {
        let container = (EngineKind::Container, None, Wanted::Kind(EngineKind::Container));
        assert_eq!(applied(&NOTHING, &Settings::default()), container);
        let set = vagrant(Some(Provider::Virtualbox));
        let kind = EngineKind::Vagrant(Provider::Virtualbox);
        assert_eq!(applied(&NOTHING, &set), (kind, Some(set.vagrant.size), Wanted::Kind(kind)));
        let said = Machines { engine: Some(EngineFamily::Container), ..NOTHING };
        assert_eq!(applied(&said, &set), container);
    }

    #[test]
    fn what_is_said_goes_before_what_is_set() {
        let said = Machines { provider: Some(Provider::Libvirt), cpus: Some(8), ..NOTHING };
        let kind = EngineKind::Vagrant(Provider::Libvirt);
        let size = NodeSize { cpus: 8, memory_mb: 4096 };
        let set = vagrant(Some(Provider::Virtualbox));
        assert_eq!(applied(&said, &set), (kind, Some(size), Wanted::Kind(kind)));
    }

    #[test]
    fn a_provider_that_nobody_chose_is_left_to_the_host() {
        let said = Machines { engine: Some(EngineFamily::Vagrant), ..NOTHING };
        for settings in [Settings::default(), vagrant(None)] {
            assert_eq!(applied(&said, &settings).2, Wanted::AnyProvider);
        }
    }

    #[test]
    fn what_only_virtual_machines_have_is_refused_for_containers_with_everything_that_was_typed() {
        let engine = Some(EngineFamily::Container);
        let (provider, cpus, memory) = (Some(Provider::Libvirt), Some(2), Some(2560));
        for engine in [None, engine] {
            let all = Machines { engine, provider, cpus, memory };
            let refused = all.apply(ClusterSpec::new("acme"), &Settings::default()).expect_err("refused");
            assert!(refused.to_string().contains("--provider libvirt, --cpus 2, --memory 2560"), "{refused}");
        }
    }
}
