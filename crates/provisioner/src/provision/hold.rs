//! Allows one operation at a time on an instance. The ledger records the operation before it begins, so that the rule
//! holds between processes, and the record shows which operation a killed process was doing.

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
    /// `None` when its end is recorded.
    operation: Option<Operation>,
    /// The unfinished operation of a process that has ended; `None` when the last operation recorded its end.
    pub(super) interrupted: Option<OperationKind>,
}

impl Provisioner {
    /// Begins an operation on an instance: `decide` gets the present entry and returns the entry to record, and both
    /// happen in one change of the ledger.
    ///
    /// # Errors
    /// [`PlanError::Busy`] while another operation is in progress, or the refusal of `decide`; nothing is recorded
    /// then. An operation whose process has ended does not block: the entry's state and transit show what it left, and
    /// the new operation continues from there.
    pub(super) fn hold(
        &self,
        name: &str,
        kind: OperationKind,
        decide: impl FnOnce(&Instance) -> Result<Instance, PlanError>,
    ) -> Result<(Instance, Hold), ChangeError<PlanError>> {
        let operation = self.operation(kind)?;
        let mut interrupted = None;
        let held = self.registry.revise(name, |instance| {
            // First the refusals that waiting for the other operation would not change.
            let decided = decide(instance)?;
            self.refuse_busy(instance, &operation)?;
            interrupted = instance.operation.as_ref().map(|old| old.kind);
            Ok(Instance { operation: Some(operation.clone()), ..decided })
        })?;
        let (registry, operation) = (self.registry.clone(), Some(operation));
        let hold = Hold { registry, name: name.to_owned(), operation, interrupted };
        Ok((held, hold))
    }

    /// The record of an operation that this process begins now.
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
            // A fixture destroys its instances while tasks of its test may still change them.
            Liveness::Alive => is_destruction && old.owner.is_this_process(),
            // `down NAME` must work also where the owner was recorded by an earlier version or in another namespace.
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
    /// Records an intermediate change of the operation.
    pub(super) fn record(
        &self,
        decide: impl FnOnce(&Instance) -> Result<Instance, PlanError>,
    ) -> Result<Instance, ChangeError<PlanError>> {
        self.registry.revise(&self.name, decide)
    }

    /// Records the last change together with the end of the operation.
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
            // If the record cannot be removed now, it loses its effect when this process ends.
            let _ = self.registry.update(&self.name, |instance| self.clear(instance));
        }
    }
}
