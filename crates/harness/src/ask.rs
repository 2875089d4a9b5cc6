//! Runs a prober in a running pod: one exec, with the batch on its standard input and its answers on its standard
//! output.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::AttachParams;
use probe::{Batch, ProbeResult};
use provisioner::identity::IdentityError;
use provisioner::slowdown::{Slowdown, Stretched};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// The time that an exec gets beyond the prober's own deadline. Stretched where nodes are slow.
const GRACE: Duration = Duration::from_secs(10);

/// The command of a prober.
pub(crate) const PROBER: [&str; 2] = ["homelab-probe", "prober"];

/// Why the answers of a prober are missing or incomplete.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The cluster that answers is not the one that was created under this name.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The API server or the kubelet refused the exec.
    #[error("run the prober in pod {pod}")]
    Exec {
        /// The pod's name.
        pod: String,
        /// The API server's answer.
        #[source]
        source: Box<kube::Error>,
    },
    /// Standard input or output of the exec broke off.
    #[error("exchange data with the prober in pod {pod}")]
    Streams {
        /// The pod's name.
        pod: String,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// A line of the prober's output is not in its format ([`ProbeResult`]).
    #[error("read the line {line:?} of the prober in pod {pod}")]
    Nonsense {
        /// The pod's name.
        pod: String,
        /// The whole line.
        line: String,
        /// The parser's message.
        #[source]
        source: serde_json::Error,
    },
    /// The prober did not end within its deadline.
    #[error("the prober in pod {pod} did not end within {}s", .within.as_secs())]
    Late {
        /// The pod's name.
        pod: String,
        /// The batch's deadline and a grace period.
        within: Stretched,
    },
}

/// Has a prober send a batch of probes, and returns its output, line by line.
pub(crate) async fn ask(
    pods: &Api<Pod>,
    slowdown: Slowdown,
    pod: &str,
    batch: &Batch,
) -> Result<Vec<ProbeResult>, AskError> {
    let within = Stretched::exactly(Duration::from_millis(batch.deadline_ms)) + slowdown.stretch(GRACE);
    let late = || AskError::Late { pod: pod.to_owned(), within };
    let text =
        tokio::time::timeout(within.on_clock(), spoken(pods, pod, batch)).await.map_err(|_| late())??;
    let said = text.lines().map(|line| {
        serde_json::from_str(line).map_err(|source| AskError::Nonsense {
            pod: pod.to_owned(),
            line: line.to_owned(),
            source,
        })
    });
    said.collect()
}

async fn spoken(pods: &Api<Pod>, pod: &str, batch: &Batch) -> Result<String, AskError> {
    let refused = |source| AskError::Exec { pod: pod.to_owned(), source: Box::new(source) };
    let broken = |source| AskError::Streams { pod: pod.to_owned(), source };
    let streams = AttachParams::default().stdin(true).stdout(true).stderr(false);
    let mut prober = pods.exec(pod, PROBER, &streams).await.map_err(refused)?;
    let missing = || broken(std::io::Error::other("the exec has no standard input or output"));
    let mut stdin = prober.stdin().ok_or_else(missing)?;
    let mut stdout = prober.stdout().ok_or_else(missing)?;
    let batch = serde_json::to_vec(batch).expect("a batch can be written as JSON");
    let told = async move {
        stdin.write_all(&batch).await?;
        stdin.shutdown().await // a prober starts at the end of its input
    };
    let mut text = String::new();
    let (told, heard) = tokio::join!(told, stdout.read_to_string(&mut text));
    told.and(heard).map_err(broken)?;
    Ok(text)
}
