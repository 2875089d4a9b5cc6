//! A client that writes ConfigMaps without a pause, and records which were acknowledged, and when.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use harness::wait::{Wait, WaitError, until};
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{ListParams, PostParams};
use kube::{Api, Client};
use provisioner::slowdown::Slowdown;
use tokio::task::JoinHandle;
use tokio::time::error::Elapsed;
use tokio::time::{sleep, timeout};

/// How long the client waits for an answer before it sends the next write: a killed node closes no connection.
const TIMEOUT: Duration = Duration::from_secs(1);
/// Pause after a failed write: a refusal arrives at once, and each attempt costs CPU time.
const REST: Duration = Duration::from_millis(20);

/// Writes until [`Writer::end`] or drop.
pub(super) struct Writer {
    api: Api<ConfigMap>,
    log: Arc<Mutex<Log>>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Log {
    attempts: usize,
    acknowledged: Vec<(Instant, String)>,
    last_error: String,
}

/// The result of all writes.
pub(super) struct Written {
    attempts: usize,
    acknowledged: usize,
    /// Acknowledged writes whose ConfigMaps do not exist.
    pub(super) lost: Vec<String>,
}

impl Writer {
    pub(super) fn start(client: Client) -> Self {
        let api: Api<ConfigMap> = Api::default_namespaced(client);
        let log = Arc::new(Mutex::new(Log::default()));
        let task = tokio::spawn(write(api.clone(), Arc::clone(&log)));
        Self { api, log, task }
    }

    /// Number of acknowledged writes so far.
    pub(super) fn acknowledged(&self) -> usize {
        locked(&self.log).acknowledged.len()
    }

    /// Waits until a write that started after this call is acknowledged.
    pub(super) async fn goes_on(&self) -> Result<(), WaitError<kube::Error>> {
        // The next one may have started before this call.
        let enough = self.acknowledged() + 2;
        until("writes to go on", Slowdown::of_host().stretch(Duration::from_secs(60)), async || {
            let log = locked(&self.log);
            Ok(match log.acknowledged.len() >= enough {
                true => Wait::Done(()),
                false => Wait::NotYet(log.last_error.clone()),
            })
        })
        .await
    }

    /// The longest time between two acknowledgements, starting with the last of the first `acknowledged` ones.
    pub(super) fn longest_gap_since(&self, acknowledged: usize) -> Duration {
        let log = locked(&self.log);
        let times: Vec<Instant> = log.acknowledged.iter().map(|(at, _)| *at).collect();
        let gaps = times[acknowledged.saturating_sub(1)..].windows(2).map(|pair| pair[1] - pair[0]);
        gaps.max().unwrap_or_default()
    }

    /// Ends writing and checks which writes exist.
    pub(super) async fn end(self) -> Result<Written, kube::Error> {
        self.task.abort();
        let there = self.api.list(&ListParams::default()).await?.into_iter();
        let there: BTreeSet<String> = there.filter_map(|map| map.metadata.name).collect();
        let log = locked(&self.log);
        let names = log.acknowledged.iter().map(|(_, name)| name);
        let lost = names.filter(|name| !there.contains(*name)).cloned().collect();
        Ok(Written { attempts: log.attempts, acknowledged: log.acknowledged.len(), lost })
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} writes acknowledged, {} lost", self.acknowledged, self.attempts, self.lost.len())
    }
}

async fn write(api: Api<ConfigMap>, log: Arc<Mutex<Log>>) {
    for number in 0.. {
        // Each write has a unique name, because the API server may have done a write that it did not answer.
        let name = format!("write-{number}");
        let metadata = ObjectMeta { name: Some(name.clone()), ..ObjectMeta::default() };
        let map = ConfigMap { metadata, ..ConfigMap::default() };
        let answer = timeout(TIMEOUT, api.create(&PostParams::default(), &map)).await;
        if !locked(&log).note(name, answer) {
            sleep(REST).await;
        }
    }
}

impl Log {
    /// Records the result of a write. Returns whether it was acknowledged.
    fn note(&mut self, name: String, answer: Result<kube::Result<ConfigMap>, Elapsed>) -> bool {
        self.attempts += 1;
        self.last_error = match answer {
            Ok(Ok(_)) => {
                self.acknowledged.push((Instant::now(), name));
                return true;
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no answer".to_owned(),
        };
        false
    }
}

fn locked(log: &Mutex<Log>) -> MutexGuard<'_, Log> {
    log.lock().unwrap_or_else(PoisonError::into_inner)
}
