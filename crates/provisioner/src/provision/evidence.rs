//! What is kept of a cluster that failed, before it goes.

use camino::Utf8Path;

use crate::engine::EngineError;
use crate::files::FileError;
use crate::plan::ClusterPlan;

use super::Provisioner;

impl Provisioner {
    /// Copies plan, node logs and whatever else explains a failure into a folder.
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
