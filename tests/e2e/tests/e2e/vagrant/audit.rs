//! The audit finds the leaks that virtual machines add: each is opened for real between two clients, and closed again.

use harness::MultiClusterFixture;
use harness::audit::{Progress, Selection, self_test};

/// Each takes two audits. The leaks of all other classes are opened between containers: how they are asked and judged is
/// the same.
const CLASSES: [&str; 6] = ["L5", "N3", "H4", "H12", "H13", "C8"];

/// Opens them one by one from the first client to the second.
pub(super) async fn finds_what_machines_add(fx: &MultiClusterFixture) -> anyhow::Result<()> {
    let selection = Selection { classes: CLASSES.map(str::to_owned).to_vec(), ..Selection::default() };
    let score = self_test(fx.provisioner(), fx.clusters(), &selection, &Progress::default()).await?;
    score.assert_perfect();
    Ok(())
}
