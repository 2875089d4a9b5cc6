//! A prober in a running pod: one exec, the batch on its standard input, its answers on the standard output.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::AttachParams;
use probe::{Batch, Said};
use provisioner::identity::IdentityError;
use provisioner::slowdown::{Slowdown, Stretched};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// What an exec may take beyond the prober's own deadline, where nodes are containers.
const GRACE: Duration = Duration::from_secs(10);

/// What runs a prober.
pub(crate) const PROBER: [&str; 2] = ["homelab-probe", "prober"];

/// Why a prober was not heard to its end.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// It is another cluster than the one that came up under its name.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The API server or the kubelet refused.
    #[error("run the prober in pod {pod}")]
    Exec {
        /// Where.
        pod: String,
        /// What it says.
        #[source]
        source: Box<kube::Error>,
    },
    /// The streams broke.
    #[error("talk to the prober in pod {pod}")]
    Streams {
        /// Where.
        pod: String,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// It said something that no prober says.
    #[error("the prober in pod {pod} said {line:?}")]
    Nonsense {
        /// Where.
        pod: String,
        /// What.
        line: String,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// It was not over when it had to be.
    #[error("the prober in pod {pod} was not done after {}s", .within.as_secs())]
    Late {
        /// Where.
        pod: String,
        /// Its deadline, and some grace.
        within: Stretched,
    },
}

/// Has a prober ask a batch, and returns everything that it said.
pub(crate) async fn ask(
    pods: &Api<Pod>,
    slowdown: Slowdown,
    pod: &str,
    batch: &Batch,
) -> Result<Vec<Said>, AskError> {
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
    let missing = || broken(std::io::Error::other("the connection has no such stream"));
    let mut stdin = prober.stdin().ok_or_else(missing)?;
    let mut stdout = prober.stdout().ok_or_else(missing)?;
    let batch = serde_json::to_vec(batch).expect("a batch has no odd keys");
    let told = async move {
        stdin.write_all(&batch).await?;
        stdin.shutdown().await // a prober begins when its input has ended
    };
    let mut text = String::new();
    let (told, heard) = tokio::join!(told, stdout.read_to_string(&mut text));
    told.and(heard).map_err(broken)?;
    Ok(text)
}
