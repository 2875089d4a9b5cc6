//! The audit of clients in VMs: it finds no leak, and finds each leak that is injected in the way of VMs.

use harness::MultiClusterFixture;
use harness::audit::{AuditProgress, ClassId, Selection, self_test};

/// Leaks that exist only with VMs, or whose injection differs with VMs: an adapter on the other client's network,
/// forwarding by the host between their networks, and one management network for both. Each takes two audits. All
/// others are injected between containers, because their probes and verdicts are the same.
const OPENED: [ClassId; 3] = [ClassId::L5, ClassId::N3, ClassId::H13];

/// Audits every class on the clean clusters, then injects these leaks one at a time, from the first client to the
/// second.
pub(super) async fn finds_nothing_but_what_is_opened(fx: &MultiClusterFixture) -> anyhow::Result<()> {
    let everything = Selection::default();
    let (provisioner, clusters) = (fx.provisioner(), fx.clusters());
    let score =
        self_test(provisioner, clusters, &everything, &OPENED, None, &AuditProgress::default()).await?;
    score.assert_perfect();
    Ok(())
}
