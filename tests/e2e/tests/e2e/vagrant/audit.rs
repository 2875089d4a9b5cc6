//! The audit finds the leaks that virtual machines add: each is opened for real between two clients, and closed again.

use harness::MultiClusterFixture;
use harness::audit::{Progress, Selection, self_test};
use provisioner::spec::Topology;

use super::on_libvirt;

/// Each takes two audits. The leaks of all other classes are opened between containers: how they are asked and judged is
/// the same.
const CLASSES: [&str; 6] = ["L5", "N3", "H4", "H12", "H13", "C8"];

#[tokio::test]
async fn the_audit_finds_what_is_opened_between_two_clients_in_machines() -> anyhow::Result<()> {
    MultiClusterFixture::builder()
        .cluster(on_libvirt("acme").topology(Topology::Single))
        .cluster(on_libvirt("globex").topology(Topology::Single))
        .run(async |fx| {
            let selection =
                Selection { classes: CLASSES.map(str::to_owned).to_vec(), ..Selection::default() };
            let score = self_test(fx.provisioner(), fx.clusters(), &selection, &Progress::default()).await?;
            score.assert_perfect();
            Ok(())
        })
        .await
}
