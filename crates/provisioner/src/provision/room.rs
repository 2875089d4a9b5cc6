//! Whether this host can take what is asked for: its lacks, and its room.

use super::{ProvisionError, Residue, StageError};
use crate::capacity::{Cost, Room, Workstation};
use crate::engine::{self, EngineError, Lack};
use crate::plan::{ClusterPlan, Pools};
use crate::registry::State;
use crate::spec::{CheckedSpec, EngineKind, Provider};
use crate::stage::Stage;

use super::{Host, Provisioner};

impl Provisioner {
    /// Everything that this host lacks for an engine, all at once.
    pub async fn preflight(&self, engine: EngineKind) -> Vec<Lack> {
        self.engines.preflight(engine).await
    }

    /// The hypervisor for virtual machines where nobody says which: the first that this host lacks nothing for, or else
    /// the first of all, whose lacks are then told by whoever begins.
    pub async fn provider(&self) -> Provider {
        for provider in Provider::ALL {
            if self.preflight(EngineKind::Vagrant(provider)).await.is_empty() {
                return provider;
            }
        }
        Provider::ALL[0]
    }

    /// What is left on this host for further clusters; nothing is known of a host that is simulated.
    ///
    /// Another home's instances count by the memory that they have taken, as all programs do.
    ///
    /// # Errors
    /// [`StageError`] when the registry or the machine cannot be read.
    pub fn room(&self) -> Result<Option<Room>, StageError> {
        match self.host {
            #[cfg(feature = "simulated")]
            Host::None => Ok(None),
            Host::Real => {
                let (mut risen, mut rising) = (Cost::default(), Cost::default());
                for instance in self.registry.instances()? {
                    let plan = ClusterPlan::of(&instance, &self.home);
                    let sum = if instance.state == State::Creating { &mut rising } else { &mut risen };
                    *sum = *sum + Cost::of_plan(&plan);
                }
                Ok(Some(Room { workstation: Workstation::here()?, risen, rising }))
            }
        }
    }

    /// Refuses clusters that this host cannot take all at once, before anything of them exists. `create` does so for
    /// the one that it creates.
    ///
    /// # Errors
    /// [`ProvisionError`] with what is lacking or too little.
    pub async fn admit(&self, asked: &[CheckedSpec]) -> Result<(), ProvisionError> {
        let engines: Vec<EngineKind> = asked.iter().map(|spec| spec.engine).collect();
        let cost = asked.iter().map(Cost::of_spec).sum();
        self.demand_room(cost, &engines).await.map_err(|source| ProvisionError {
            cluster: asked.iter().map(|spec| spec.name.as_str()).collect::<Vec<_>>().join(", "),
            stage: Stage::Claim,
            residue: Residue::Nothing,
            source,
        })
    }

    /// The same for whatever will take so much, and is made by these engines.
    pub(super) async fn demand_room(&self, asked: Cost, engines: &[EngineKind]) -> Result<(), StageError> {
        let room = if self.is_forced { None } else { self.room()? };
        let mut lacks = Vec::new();
        for engine in engines {
            let further = self.preflight(*engine).await;
            lacks.extend(further.into_iter().filter(|lack| !lacks.contains(lack)).collect::<Vec<_>>());
        }
        let admitted = room.map_or(Ok(()), |room| room.admit(asked));
        // Nobody shall tell the kernel of clusters that do not fit anyway.
        if admitted.is_ok() {
            lacks.extend(room.and_then(|room| room.lack(asked)));
        }
        if !lacks.is_empty() {
            return Err(EngineError::Preflight(lacks).into());
        }
        Ok(admitted?)
    }

    /// The pools, as far as an engine makes networks in them.
    pub(super) fn pools_of(&self, engine: EngineKind) -> Result<Pools, StageError> {
        match engine {
            EngineKind::Vagrant(Provider::Virtualbox) => {
                let allowed = engine::allowed_ranges().map_err(EngineError::from)?;
                Ok(self.settings.pools.within(allowed))
            }
            _ => Ok(self.settings.pools.clone()),
        }
    }
}
