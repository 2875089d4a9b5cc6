//! The pages that a newcomer follows print what the program prints: each command of a block marked `console,run` is typed,
//! in the order of the page, and its output is compared with what the page shows.

mod transcript;

use anyhow::{Context, ensure};
use rstest::rstest;

use crate::operator::desk::Desk;
use transcript::{agrees, steps};

#[rstest]
#[case::readme("README.md")]
#[case::first_cluster("docs/tutorial/first-cluster.md")]
#[case::audit_a_change("docs/tutorial/audit-a-change.md")]
#[tokio::test]
async fn every_command_of_a_page_prints_what_the_page_shows(#[case] page: &str) -> anyhow::Result<()> {
    let path = format!("{}/../../{page}", env!("CARGO_MANIFEST_DIR"));
    let steps = steps(&std::fs::read_to_string(&path).context(path)?);
    ensure!(!steps.is_empty(), "{page} has no block that is run");
    Desk::with(async |desk| {
        // A newcomer has no kubeconfig yet.
        std::fs::remove_file(desk.merged())?;
        for step in &steps {
            let printed = desk.typed(&step.command).await?;
            ensure!(
                agrees(&step.shown, &printed),
                "{page}: $ {}\n--- the page shows\n{}\n--- the program prints\n{printed}",
                step.command,
                step.shown.join("\n")
            );
        }
        Ok(())
    })
    .await
}
