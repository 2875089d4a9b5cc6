//! The audit of clients in virtual machines: nothing is found between them, and what machines add is found once it is
//! opened.

use harness::MultiClusterFixture;
use harness::audit::{ClassId, Progress, Selection, self_test};

/// The leaks that only machines have, or have in another way: an adapter on the other's network, a way through the host
/// between their networks, and one management network for both. Each takes two audits. All others are opened between
/// containers: how they are asked and judged is the same.
const OPENED: [ClassId; 3] = [ClassId::L5, ClassId::N3, ClassId::H13];

/// Asks every class of the clean clusters, then opens these leaks one by one from the first client to the second.
pub(super) async fn finds_nothing_but_what_is_opened(fx: &MultiClusterFixture) -> anyhow::Result<()> {
    let everything = Selection::default();
    let score =
        self_test(fx.provisioner(), fx.clusters(), &everything, &OPENED, &Progress::default()).await?;
    score.assert_perfect();
    Ok(())
}
