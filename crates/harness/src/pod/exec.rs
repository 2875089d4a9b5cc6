//! A command in a running pod, by the API server's `exec`.

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::AttachParams;
use tokio::io::AsyncReadExt;

use crate::cluster::{ClusterError, TestCluster};

use super::PodOutput;

impl TestCluster {
    /// Runs a command in a running pod of the default namespace. A command that fails is no error: its exit code is in
    /// the output.
    ///
    /// # Errors
    /// [`ClusterError`] when the command could not be started, or its output or exit code could not be read.
    pub async fn exec(&self, pod: &str, command: &[&str]) -> Result<PodOutput, ClusterError> {
        self.identify().await?;
        let failed = self.failed(format!("run {command:?} in pod {pod}"));
        let pods: Api<Pod> = Api::default_namespaced(self.client());
        let streams = AttachParams::default().stdin(false).stdout(true).stderr(true);
        let mut process = pods.exec(pod, command.iter().copied(), &streams).await.map_err(&failed)?;
        let (mut stdout, mut stderr) = (String::new(), String::new());
        let (mut out, mut err) = (process.stdout(), process.stderr());
        let status = process.take_status();
        let read_out = async {
            if let Some(stream) = &mut out {
                stream.read_to_string(&mut stdout).await?;
            }
            Ok::<_, std::io::Error>(())
        };
        let read_err = async {
            if let Some(stream) = &mut err {
                stream.read_to_string(&mut stderr).await?;
            }
            Ok(())
        };
        let lost = |source| failed(kube::Error::ReadEvents(source));
        tokio::try_join!(read_out, read_err).map_err(lost)?;
        let status = match status {
            Some(status) => status.await,
            None => None,
        };
        let lost =
            || failed(kube::Error::ReadEvents(std::io::Error::other("the stream ended without a status")));
        let status = status.ok_or_else(lost)?;
        let phase = status.status.clone().unwrap_or_default();
        let causes = status.details.unwrap_or_default().causes.unwrap_or_default();
        let code = causes.iter().find(|cause| cause.reason.as_deref() == Some("ExitCode"));
        let code = code.and_then(|cause| cause.message.as_deref()?.parse().ok());
        let exit_code = match (phase.as_str(), code) {
            ("Success", _) => 0,
            (_, Some(code)) => code,
            // The command never ran: a missing program must not be taken for one that exits with 1.
            _ => {
                let why = status.message.unwrap_or_else(|| "no exit code".to_owned());
                return Err(failed(kube::Error::ReadEvents(std::io::Error::other(why))));
            }
        };
        Ok(PodOutput { exit_code, stdout, stderr, phase, node: String::new() })
    }
}
