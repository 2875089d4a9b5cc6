//! Claims instances in tests that create no cluster.

use provisioner::plan::{self, PlanError, Pools, Taken};
use provisioner::registry::{Instance, Keeper, Operation, OperationKind, Owner};
use provisioner::request::CheckedSpec;

/// The instance that an operator gets for this spec, with a create operation of this process.
///
/// # Panics
///
/// If `/proc/self/stat` cannot be read.
pub(crate) fn claimed(spec: &CheckedSpec, taken: &Taken, pools: &Pools) -> Result<Instance, PlanError> {
    let owner = Owner::current("e2e").expect("/proc/self/stat can be read");
    plan::claim(spec, taken, pools, Keeper::Operator, Operation::begin(OperationKind::Create, owner))
}
