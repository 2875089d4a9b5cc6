//! Runs a pod: creates it, polls it to its end, reads its output from the node, deletes it.

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{DeleteParams, PostParams};

use crate::cluster::TestCluster;
use crate::wait::{self, Wait};

use super::{CONTAINER, PodError, PodOutput, PodRun};

impl TestCluster {
    /// Runs a pod in the default namespace to its end, and deletes the pod. A command that fails is no error: its exit
    /// code is in the output.
    ///
    /// # Errors
    /// [`PodError`] when the pod never ran, did not end within its deadline, or its output cannot be read.
    ///
    /// # Panics
    /// When [`PodRun::on_node`] names a node that the cluster does not have.
    pub async fn run_pod(&self, wanted: PodRun) -> Result<PodOutput, PodError> {
        self.identify().await?;
        run(self, &wanted).await
    }
}

async fn run(cluster: &TestCluster, wanted: &PodRun) -> Result<PodOutput, PodError> {
    let pods: Api<Pod> = Api::default_namespaced(cluster.client());
    let failed = |attempt, source| PodError::Api {
        attempt,
        image: wanted.image.clone(),
        cluster: cluster.name().to_owned(),
        source: Box::new(source),
    };
    let created = pods.create(&PostParams::default(), &wanted.manifest(cluster)).await;
    let pod = created.map_err(|error| failed("create", error))?;
    let name = pod.metadata.name.clone().unwrap_or_default();
    let outcome = finished(cluster, wanted, &pods, &name).await;
    // The output is read, or there will be none: delete the pod in both cases.
    let deleted = pods.delete(&name, &DeleteParams::default().grace_period(0)).await;
    let outcome = outcome?;
    deleted.map_err(|error| failed("delete", error))?;
    Ok(outcome)
}

async fn finished(
    cluster: &TestCluster,
    wanted: &PodRun,
    pods: &Api<Pod>,
    name: &str,
) -> Result<PodOutput, PodError> {
    let end =
        wait::until(format!("pod {name} to end"), cluster.slowdown().stretch(wanted.within), async || {
            let pod = pods.get(name).await?;
            Ok(match PodProgress::of(&pod) {
                PodProgress::Ended { exit_code } => Wait::Done(Ok((exit_code, pod))),
                PodProgress::Hopeless(reason) => Wait::Done(Err(reason)),
                PodProgress::Underway(status) => Wait::NotYet(status),
            })
        });
    let (cluster_name, pod_name) = (cluster.name().to_owned(), name.to_owned());
    let ended = end.await.map_err(|source| PodError::Unfinished {
        pod: pod_name.clone(),
        cluster: cluster_name.clone(),
        source: Box::new(source),
    })?;
    let (exit_code, pod) =
        ended.map_err(|reason| PodError::NeverRan { pod: pod_name, cluster: cluster_name, reason })?;
    let phase = pod.status.as_ref().and_then(|status| status.phase.clone()).unwrap_or_default();
    let real_node = pod.spec.as_ref().and_then(|spec| spec.node_name.clone()).unwrap_or_default();
    let node = cluster.node_by_real_name(&real_node);
    // The kubelet's file keeps both streams apart; the API server's log endpoint mixes them.
    let uid = pod.metadata.uid.unwrap_or_default();
    let path = format!("/var/log/pods/default_{name}_{uid}/{CONTAINER}/0.log");
    let log = node.read(&path).await.map_err(|source| PodError::Output {
        pod: name.to_owned(),
        node: real_node,
        source,
    })?;
    let (stdout, stderr) = streams(&log);
    Ok(PodOutput { exit_code, stdout, stderr, phase, node: node.name().to_owned() })
}

/// The state of a pod that is to run to its end.
#[derive(Debug, PartialEq, Eq)]
enum PodProgress {
    Ended { exit_code: i32 },
    Hopeless(String),
    Underway(String),
}

impl PodProgress {
    fn of(pod: &Pod) -> Self {
        /// The kubelet's reasons for which waiting does not help.
        const HOPELESS: [&str; 7] = [
            "CreateContainerConfigError",
            "CreateContainerError",
            "ErrImageNeverPull",
            "ErrImagePull",
            "ImagePullBackOff",
            "InvalidImageName",
            "RunContainerError",
        ];
        let status = pod.status.clone().unwrap_or_default();
        let phase = status.phase.unwrap_or_else(|| "no status yet".to_owned());
        let container = status.container_statuses.unwrap_or_default().into_iter().next();
        let state = container.and_then(|container| container.state).unwrap_or_default();
        if let Some(end) = state.terminated {
            // A runtime that cannot start the process reports that as a terminated container with an exit code.
            return match (end.reason.as_deref(), end.message) {
                (Some("StartError" | "ContainerCannotRun"), message) => {
                    Self::Hopeless(message.unwrap_or_else(|| "it could not be started".to_owned()))
                }
                // The container has ended; the kubelet sets the pod's phase a moment later.
                _ if !["Succeeded", "Failed"].contains(&phase.as_str()) => Self::Underway(phase),
                _ => Self::Ended { exit_code: end.exit_code },
            };
        }
        if let Some(waiting) = state.waiting {
            let reason = waiting.reason.unwrap_or_default();
            let text = format!("{reason}: {}", waiting.message.unwrap_or_default());
            return if HOPELESS.contains(&reason.as_str()) {
                Self::Hopeless(text)
            } else {
                Self::Underway(text)
            };
        }
        match phase.as_str() {
            "Failed" => Self::Hopeless(status.message.or(status.reason).unwrap_or(phase)),
            _ => Self::Underway(phase),
        }
    }
}

/// Standard output and standard error out of a log in the CRI's format: `<time> <stream> <P|F> <text>`, where `P` marks
/// a part of a line that the next entry continues (Kubernetes, `pkg/kubelet/kuberuntime/logs`). Pure.
fn streams(log: &str) -> (String, String) {
    let (mut stdout, mut stderr) = (String::new(), String::new());
    for line in log.lines() {
        let mut parts = line.splitn(4, ' ');
        let (Some(_time), Some(stream), Some(tag)) = (parts.next(), parts.next(), parts.next()) else {
            continue;
        };
        let into = if stream == "stderr" { &mut stderr } else { &mut stdout };
        into.push_str(parts.next().unwrap_or_default());
        if tag != "P" {
            into.push('\n');
        }
    }
    (stdout, stderr)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stdout_and_stderr_are_read_from_the_log_unchanged() {
        let log = "\
2026-01-01T00:00:00.1Z stdout F one
2026-01-01T00:00:00.2Z stderr F oops
2026-01-01T00:00:00.3Z stdout P two,
2026-01-01T00:00:00.4Z stdout F  three
";
        assert_eq!(streams(log), ("one\ntwo, three\n".to_owned(), "oops\n".to_owned()));
    }

    fn waiting(reason: &str) -> Pod {
        let status = serde_json::json!({ "status": { "phase": "Pending", "containerStatuses": [{
            "name": "main", "image": "x", "imageID": "", "ready": false, "restartCount": 0,
            "state": { "waiting": { "reason": reason, "message": "why" } },
        }] } });
        serde_json::from_value(status).unwrap()
    }

    #[test]
    fn a_pod_whose_image_cannot_be_pulled_is_hopeless_and_one_in_creation_is_not() {
        assert_eq!(
            PodProgress::of(&waiting("ErrImagePull")),
            PodProgress::Hopeless("ErrImagePull: why".to_owned())
        );
        assert!(matches!(PodProgress::of(&waiting("ContainerCreating")), PodProgress::Underway(_)));
    }

    #[test]
    fn a_process_that_could_not_be_started_is_no_exit_code() {
        let mut pod = waiting("x");
        let status = &mut pod.status.as_mut().unwrap().container_statuses.as_mut().unwrap()[0];
        let state = serde_json::json!({ "terminated": {
            "exitCode": 128, "reason": "StartError", "message": "exec: \"png\": not found",
        } });
        status.state = Some(serde_json::from_value(state).unwrap());
        assert!(matches!(PodProgress::of(&pod), PodProgress::Hopeless(why) if why.contains("png")));
    }
}
