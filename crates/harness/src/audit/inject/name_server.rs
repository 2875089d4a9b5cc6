//! [`NameServer`]: waits until a name server resolves a name, or does not. A name server caches answers for some seconds.

use std::net::SocketAddr;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use probe::{Ask, Batch, Nonce, Probe, ProbeOutcome, ProbeResult, VERSION};

use super::InjectError;
use crate::ask::{AskError, ask};
use crate::audit::run::PROBER;
use crate::cluster::TestCluster;
use crate::wait::{self, Wait};

/// The deadline, which exceeds a name server's cache time. Stretched where nodes are slow.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A name and the server that the audit's prober pod in `cluster` asks for it.
#[derive(Debug, Clone)]
pub(super) struct NameServer {
    pub(super) cluster: TestCluster,
    pub(super) namespace: String,
    pub(super) server: SocketAddr,
    pub(super) name: String,
}

impl NameServer {
    /// Waits until the server has an address for the name, or (with `known` false) has none.
    pub(super) async fn until(&self, known: bool) -> Result<(), InjectError> {
        let pods: Api<Pod> = Api::namespaced(self.cluster.fresh_client().await?, &self.namespace);
        let question = Ask::Dns { server: self.server, name: self.name.clone() };
        let probes = vec![Probe { nonce: Nonce::new(0, 0), ask: question }];
        let slowdown = self.cluster.slowdown();
        let millis = |usual| slowdown.stretch(Duration::from_millis(usual)).as_millis();
        let (deadline_ms, answer_timeout_ms) = (millis(3_000), millis(1_000));
        let batch = Batch { version: VERSION, deadline_ms, answer_timeout_ms, rate: 100, probes };
        let within = slowdown.stretch(TIMEOUT);
        let waited = wait::until(format!("{} at {}", self.name, self.server), within, async || {
            let said = ask(&pods, slowdown, PROBER, &batch).await?;
            let has = said
                .iter()
                .any(|said| matches!(said, ProbeResult::Answer(answer) if has_address(&answer.outcome)));
            Ok::<_, AskError>(if has == known { Wait::Done(()) } else { Wait::NotYet(format!("{said:?}")) })
        });
        let cluster = self.cluster.name().to_owned();
        waited.await.map_err(|source| InjectError::Access { cluster, source: source.into() })
    }
}

fn has_address(outcome: &ProbeOutcome) -> bool {
    match outcome {
        ProbeOutcome::Answered { what, .. } => {
            what.iter().any(|word| word.parse::<std::net::IpAddr>().is_ok())
        }
        _ => false,
    }
}
