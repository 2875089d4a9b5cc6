//! The constructors of a provisioner, and access to its parts, such as the registry and the engines.

use std::sync::Arc;

use crate::assets::Assets;
#[cfg(feature = "simulated")]
use crate::dns::Dns;
use crate::engine::{ContainerEngine, Engine, Engines, VagrantEngine};
use crate::events::{EventLog, Events};
use crate::exec::{Local, Runner};
use crate::home::{Home, Listed};
use crate::registry::Registry;
use crate::request::{EngineKind, Provider};
use crate::settings::{Settings, SettingsError};
use crate::trust::Store;

use super::{HostKind, Provisioner};

impl Provisioner {
    /// A provisioner for a home, with the settings in the home's `config.yaml`. It has all engines of this host.
    ///
    /// # Errors
    /// [`SettingsError`] when the settings cannot be read or are not valid; no default replaces them.
    pub fn new(home: Home) -> Result<Self, SettingsError> {
        let settings = Settings::of(&home)?;
        Ok(Self::with_settings(home, settings))
    }

    /// A provisioner with these settings; the home's `config.yaml` is not read.
    pub fn with_settings(home: Home, settings: Settings) -> Self {
        let events = Events::kept_in(EventLog::in_home(&home));
        let assets = Assets::in_cache(home.cache().to_owned());
        let ranges = settings.pools.ranges().to_vec();
        let engine = ContainerEngine::new(home.id(), ranges.clone(), assets.clone(), events.clone());
        let machines = Provider::ALL.map(|provider| {
            let engine = VagrantEngine::new(home.id(), provider, ranges.clone(), assets.clone());
            (EngineKind::Vagrant(provider), Arc::new(engine) as Arc<dyn Engine>)
        });
        Self {
            registry: Registry::in_home(&home),
            engines: Engines::new((EngineKind::Container, Arc::new(engine)), machines),
            host: HostKind::Real,
            homes: Some(Listed::of_host()),
            runner: Arc::new(Local),
            trust: Store::of_host(),
            is_forced: false,
            home,
            settings,
            assets,
            events,
        }
    }

    /// A provisioner for tests: its engine touches no host, and it has the default settings without DNS.
    #[cfg(feature = "simulated")]
    pub fn with_engine(home: Home, engine: Arc<dyn Engine>) -> Self {
        let settings = Settings { dns: Dns::None, ..Settings::default() };
        Self {
            engines: Engines::new((EngineKind::Simulated, engine), Vec::new()),
            host: HostKind::None,
            homes: None,
            ..Self::with_settings(home, settings)
        }
    }

    /// Replaces the engine of this kind.
    #[must_use]
    pub fn with_engine_of(self, kind: EngineKind, engine: Arc<dyn Engine>) -> Self {
        Self { engines: self.engines.with(kind, engine), ..self }
    }

    /// Replaces the list of this host's homes, for tests.
    #[must_use]
    pub fn with_homes(self, homes: Listed) -> Self {
        Self { homes: Some(homes), ..self }
    }

    /// Replaces this host's trust store.
    #[must_use]
    pub fn with_trust_store(self, trust: Store) -> Self {
        Self { trust, ..self }
    }

    /// Skips the check of the host's capacity, as `--force` does.
    #[must_use]
    pub fn forced(self) -> Self {
        Self { is_forced: true, ..self }
    }

    /// The home, whose clusters this provisioner changes.
    pub fn home(&self) -> &Home {
        &self.home
    }

    /// The settings that it was made with.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The ledger of the home's instances.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The events: the log in the home, and the subscribers.
    pub fn events(&self) -> &Events {
        &self.events
    }

    /// The engines that create nodes, by kind.
    pub fn engines(&self) -> &Engines {
        &self.engines
    }

    /// The cache of node images and boxes.
    pub fn assets(&self) -> &Assets {
        &self.assets
    }

    /// Runs commands on this host.
    pub fn runner(&self) -> &Arc<dyn Runner> {
        &self.runner
    }
}
