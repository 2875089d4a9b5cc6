//! What a provisioner is made of: its constructors, and its parts for whoever needs one of them alone.

use std::sync::Arc;

use crate::assets::Assets;
#[cfg(feature = "simulated")]
use crate::dns::Dns;
use crate::engine::{ContainerEngine, Engine, Engines, VagrantEngine};
use crate::events::{EventLog, Events};
use crate::exec::{Local, Runner};
use crate::home::{Home, Listed};
use crate::registry::Registry;
use crate::settings::{Settings, SettingsError};
use crate::spec::{EngineKind, Provider};
use crate::trust::Store;

use super::{Host, Provisioner};

impl Provisioner {
    /// A provisioner for a home, with the settings that its user has made. Nodes are containers on this host.
    ///
    /// # Errors
    /// [`SettingsError`] when the settings cannot be read or used: nobody guesses what was meant.
    pub fn new(home: Home) -> Result<Self, SettingsError> {
        let settings = Settings::of(&home)?;
        Ok(Self::with_settings(home, settings))
    }

    /// A provisioner with these settings, whatever the home's file says.
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
            host: Host::Real,
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

    /// A provisioner on an engine that touches no host, with the default settings.
    #[cfg(feature = "simulated")]
    pub fn with_engine(home: Home, engine: Arc<dyn Engine>) -> Self {
        let settings = Settings { dns: Dns::None, ..Settings::default() };
        Self {
            engines: Engines::new((EngineKind::Simulated, engine), Vec::new()),
            host: Host::None,
            homes: None,
            ..Self::with_settings(home, settings)
        }
    }

    /// The same, with instances of one kind made by another engine.
    #[must_use]
    pub fn with_engine_of(self, kind: EngineKind, engine: Arc<dyn Engine>) -> Self {
        Self { engines: self.engines.with(kind, engine), ..self }
    }

    /// The same on a host with this list of homes, for tests.
    #[must_use]
    pub fn with_homes(self, homes: Listed) -> Self {
        Self { homes: Some(homes), ..self }
    }

    /// The same with another trust store than this host's.
    #[must_use]
    pub fn with_trust_store(self, trust: Store) -> Self {
        Self { trust, ..self }
    }

    /// The same, but whether clusters fit on this machine is not asked.
    #[must_use]
    pub fn forced(self) -> Self {
        Self { is_forced: true, ..self }
    }

    /// Whose clusters these are.
    pub fn home(&self) -> &Home {
        &self.home
    }

    /// What its user has set.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What this host already runs.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// What happens, as it happens.
    pub fn events(&self) -> &Events {
        &self.events
    }

    /// What makes the nodes.
    pub fn engines(&self) -> &Engines {
        &self.engines
    }

    /// The built inputs.
    pub fn assets(&self) -> &Assets {
        &self.assets
    }

    /// What runs commands on this host.
    pub fn runner(&self) -> &Arc<dyn Runner> {
        &self.runner
    }
}
