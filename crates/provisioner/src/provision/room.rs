//! Checks whether this host can run the requested clusters: its missing requirements and its capacity.

use super::{ProvisionError, Residue, StageError};
use crate::capacity::{Demand, HostResources, Room};
use crate::engine::{self, EngineError, MissingRequirement};
use crate::plan::{ClusterPlan, Pools};
use crate::registry::State;
use crate::request::{CheckedSpec, EngineKind, Provider};
use crate::stage::Stage;

use super::{HostKind, Provisioner};

impl Provisioner {
    /// The preflight of an engine: all requirements that this host does not meet, at once.
    pub async fn preflight(&self, engine: EngineKind) -> Vec<MissingRequirement> {
        self.engines.preflight(engine).await
    }

    /// The default provider: the first whose preflight passes. If none passes, the first of the list, so that `create`
    /// reports what is missing.
    pub async fn provider(&self) -> Provider {
        for provider in Provider::ALL {
            if self.preflight(EngineKind::Vagrant(provider)).await.is_empty() {
                return provider;
            }
        }
        Provider::ALL[0]
    }

    /// The capacity that this host has left for further clusters; `None` where the host is simulated.
    ///
    /// Instances of this home count with all that they may take. Instances of other homes count with the memory that
    /// they use now, like any other program.
    ///
    /// # Errors
    /// [`StageError`] when the registry or the host's memory and processors cannot be read.
    pub fn room(&self) -> Result<Option<Room>, StageError> {
        match self.host {
            #[cfg(feature = "simulated")]
            HostKind::None => Ok(None),
            HostKind::Real => {
                let (mut running, mut starting) = (Demand::default(), Demand::default());
                for instance in self.registry.instances()? {
                    let plan = ClusterPlan::of(&instance, &self.home);
                    let sum = if instance.state == State::Creating { &mut starting } else { &mut running };
                    *sum = *sum + Demand::of_plan(&plan);
                }
                Ok(Some(Room { host: HostResources::here()?, running, starting }))
            }
        }
    }

    /// Refuses clusters that this host cannot run all at the same time, before anything of them exists. `create` makes
    /// the same check for its one cluster.
    ///
    /// # Errors
    /// [`ProvisionError`] with all missing requirements, or with the capacity that is too small.
    pub async fn admit(&self, asked: &[CheckedSpec]) -> Result<(), ProvisionError> {
        let engines: Vec<EngineKind> = asked.iter().map(|spec| spec.engine).collect();
        let cost = asked.iter().map(Demand::of_spec).sum();
        self.demand_room(cost, &engines).await.map_err(|source| ProvisionError {
            cluster: asked.iter().map(|spec| spec.name.as_str()).collect::<Vec<_>>().join(", "),
            stage: Stage::Claim,
            residue: Residue::Nothing,
            source,
        })
    }

    /// The same check for nodes of these engines that need `asked` in total.
    pub(super) async fn demand_room(&self, asked: Demand, engines: &[EngineKind]) -> Result<(), StageError> {
        let room = if self.is_forced { None } else { self.room()? };
        let mut lacks = Vec::new();
        for engine in engines {
            let further = self.preflight(*engine).await;
            lacks.extend(further.into_iter().filter(|lack| !lacks.contains(lack)).collect::<Vec<_>>());
        }
        let admitted = room.map_or(Ok(()), |room| room.admit(asked));
        // A kernel setting is only worth changing for clusters that the host has the capacity for.
        if admitted.is_ok() {
            lacks.extend(room.and_then(|room| room.lack(asked)));
        }
        if !lacks.is_empty() {
            return Err(EngineError::Preflight(lacks).into());
        }
        Ok(admitted?)
    }

    /// The parts of the pools in which an engine can make networks. VirtualBox allows some ranges only.
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
