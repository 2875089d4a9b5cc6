//! One operation at a time on an instance: recorded in the ledger before it begins, so that it holds between processes,
//! and a process that is killed leaves a record of what it did.

use crate::plan::PlanError;
use crate::registry::{
    ChangeError, Instance, Liveness, Operation, OperationKind, Owner, Registry, RegistryError,
};

use super::Provisioner;

/// Guard: while it lives, the ledger says that this process is changing the instance, and every other operation on the
/// instance is refused. Dropping it removes the record.
#[derive(Debug)]
pub(super) struct Hold {
    registry: Registry,
    name: String,
    /// None when its end is recorded.
    operation: Option<Operation>,
    /// What a process that has ended was doing to the instance; none where the last operation has ended by itself.
    pub(super) interrupted: Option<OperationKind>,
}

impl Provisioner {
    /// Begins an operation on an instance, with what is decided of it as it is now.
    ///
    /// # Errors
    /// [`PlanError::Busy`] while another operation is in progress, or what `decide` refuses with; nothing is recorded then.
    /// An operation whose process has ended is no obstacle: what it left is in the entry's state and transit, and the new
    /// one goes on from there.
    pub(super) fn hold(
        &self,
        name: &str,
        kind: OperationKind,
        decide: impl FnOnce(&Instance) -> Result<Instance, PlanError>,
    ) -> Result<(Instance, Hold), ChangeError<PlanError>> {
        let operation = self.operation(kind)?;
        let mut interrupted = None;
        let held = self.registry.revise(name, |instance| {
            // First what waiting would not help against.
            let decided = decide(instance)?;
            self.refuse_busy(instance, &operation)?;
            interrupted = instance.operation.as_ref().map(|old| old.kind);
            Ok(Instance { operation: Some(operation.clone()), ..decided })
        })?;
        let (registry, operation) = (self.registry.clone(), Some(operation));
        let hold = Hold { registry, name: name.to_owned(), operation, interrupted };
        Ok((held, hold))
    }

    /// An operation that this process begins now.
    pub(super) fn operation(&self, kind: OperationKind) -> Result<Operation, RegistryError> {
        let owner = Owner::hold(&self.home, format!("homelab-{}", std::process::id()))
            .map_err(|source| RegistryError::Owner { source })?;
        Ok(Operation::begin(kind, owner))
    }

    fn refuse_busy(&self, instance: &Instance, new: &Operation) -> Result<(), PlanError> {
        let Some(old) = &instance.operation else { return Ok(()) };
        let is_destruction = new.kind == OperationKind::Destroy;
        let is_admitted = match old.owner.liveness(&self.home) {
            Liveness::Dead => true,
            // A fixture destroys its instances also while the test's tasks are still changing them.
            Liveness::Alive => is_destruction && old.owner.is_this_process(),
            // A destruction that is asked for by name must be possible, whatever earlier versions recorded.
            Liveness::Unknown(_) => is_destruction,
        };
        match is_admitted {
            true => Ok(()),
            false => Err(PlanError::Busy {
                instance: instance.name.clone(),
                operation: old.kind,
                owner: old.owner.pid,
                since: old.since,
            }),
        }
    }
}

impl Hold {
    /// Records a change that is not the last one of the operation.
    pub(super) fn record(
        &self,
        decide: impl FnOnce(&Instance) -> Result<Instance, PlanError>,
    ) -> Result<Instance, ChangeError<PlanError>> {
        self.registry.revise(&self.name, decide)
    }

    /// Records the last change, and with it the end of the operation.
    pub(super) fn end(mut self, change: impl FnOnce(&mut Instance)) -> Result<Instance, RegistryError> {
        let ended = self.registry.update(&self.name, |instance| {
            change(instance);
            self.clear(instance);
        })?;
        self.operation = None;
        Ok(ended)
    }

    fn clear(&self, instance: &mut Instance) {
        if instance.operation == self.operation {
            instance.operation = None;
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if self.operation.is_some() {
            // A record that cannot be removed now is void as soon as this process has ended.
            let _ = self.registry.update(&self.name, |instance| self.clear(instance));
        }
    }
}
