//! What instances get, where a test makes no cluster of them.

use provisioner::plan::{self, PlanError, Pools, Taken};
use provisioner::registry::{Instance, Keeper, Operation, OperationKind, Owner};
use provisioner::spec::CheckedSpec;

/// What an operator's instance gets that this process creates.
///
/// # Panics
/// When `/proc` does not say when this process has begun.
pub(crate) fn claimed(spec: &CheckedSpec, taken: &Taken, pools: &Pools) -> Result<Instance, PlanError> {
    let owner = Owner::current("e2e").expect("/proc/self/stat can be read");
    plan::claim(spec, taken, pools, Keeper::Operator, Operation::begin(OperationKind::Create, owner))
}
