//! Saves the evidence of a failed cluster before the cluster is destroyed.

use camino::Utf8Path;

use crate::engine::EngineError;
use crate::files::FileError;
use crate::plan::ClusterPlan;

use super::Provisioner;

impl Provisioner {
    /// Writes the plan and copies the node logs into a folder. Does nothing if the registry has no such instance.
    ///
    /// # Errors
    /// [`EngineError`] when the folder cannot be written.
    pub async fn collect_evidence(&self, name: &str, into: &Utf8Path) -> Result<(), EngineError> {
        let Ok(Some(instance)) = self.registry.find(name) else { return Ok(()) };
        let plan = ClusterPlan::of(&instance.with_transit(), &self.home);
        let failed =
            |source| EngineError::File(FileError { attempt: "write", path: into.to_owned(), source });
        self.home.create_dir(into).map_err(failed)?;
        std::fs::write(into.join("plan.txt"), format!("{plan:#?}\n")).map_err(failed)?;
        self.engines.collect_logs(&plan, into).await?;
        self.home.adopt_all(into).map_err(failed)
    }
}
