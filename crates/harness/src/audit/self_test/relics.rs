//! [`Relics`]: traces of an instance that the self-test searches for in its successor of the same name (T2): an object
//! in etcd, files on its nodes, its UID and its administrator's certificate.

use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use probe::Credentials;
use provisioner::exec::{Command, CommandError};
use provisioner::kubernetes;
use provisioner::plan::API_PORT;
use serde_json::json;

use crate::audit::ClientCertificate;
use crate::audit::inject::Access;
use crate::audit::run::administrator;
use crate::cluster::{ClusterError, TestCluster};
use crate::name;

/// The folders of a node in which files are left.
const FOLDERS: [&str; 3] = ["/var/lib", "/var/log", kubernetes::FOLDER];

/// Why relics could not be left or removed.
#[derive(Debug, thiserror::Error)]
pub(super) enum RelicsError {
    #[error("'{0}' has no administrator's certificate")]
    NoAdministrator(String),
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    #[error(transparent)]
    Command(#[from] CommandError),
}

/// The relics of an instance.
#[derive(Debug)]
pub(super) struct Relics {
    /// The name of the object and of the files, `relic-x7k2`.
    name: String,
    administrator: ClientCertificate,
    /// The UID of its namespace `kube-system`. Without it, the successor cannot be told from the same cluster.
    uid: Option<String>,
}

impl Relics {
    /// The relics for an instance, not yet left in it.
    ///
    /// # Errors
    /// [`RelicsError::NoAdministrator`] when its kubeconfig cannot be read.
    pub(super) fn of(cluster: &TestCluster) -> Result<Self, RelicsError> {
        let administrator = administrator(cluster);
        let administrator =
            administrator.ok_or_else(|| RelicsError::NoAdministrator(cluster.name().to_owned()))?;
        let identity = cluster.inner().instance.k8s.identity.as_ref();
        let uid = identity.map(|identity| identity.uid.clone());
        Ok(Self { name: format!("relic-{}", name::suffix()), administrator, uid })
    }

    /// Creates the object, and the files on all nodes.
    pub(super) async fn leave_in(&self, cluster: &TestCluster) -> Result<(), RelicsError> {
        let object: ConfigMap = serde_json::from_value(json!({ "metadata": { "name": self.name } }))
            .expect("a ConfigMap with a name is valid");
        let left = objects(cluster).create(&PostParams::default(), &object).await;
        left.map_err(cluster.failed("leave a relic".to_owned()))?;
        self.on_nodes(cluster, "touch").await
    }

    /// Deletes the object, and the files on all nodes.
    pub(super) async fn remove_from(&self, cluster: &TestCluster) -> Result<(), RelicsError> {
        let removed = objects(cluster).delete(&self.name, &DeleteParams::default()).await;
        removed.map_err(cluster.failed("remove a relic".to_owned()))?;
        self.on_nodes(cluster, "rm").await
    }

    /// The relics that the successor has, in words. `None` when it could not be searched.
    pub(super) async fn found_in(&self, cluster: &TestCluster) -> Option<Vec<String>> {
        let mut found = Vec::new();
        if objects(cluster).get_opt(&self.name).await.ok()?.is_some() {
            found.push(format!("ConfigMap {}", self.name));
        }
        for node in cluster.nodes() {
            let search = find(&self.name);
            let files = node.run(&search).await.ok()?.text();
            found.extend(files.lines().map(|file| format!("{file} on {}", node.name())));
        }
        let identity = cluster.inner().instance.k8s.identity.as_ref()?;
        if identity.uid == *self.uid.as_ref()? {
            found.push(format!("UID {} of kube-system", identity.uid));
        }
        match self.access(cluster).status().await.ok()? {
            401 => {}
            status => found.push(format!("its administrator's certificate: HTTP {status}")),
        }
        Some(found)
    }

    /// A request to the successor's API server with the old administrator's certificate.
    fn access(&self, cluster: &TestCluster) -> Access {
        let ClientCertificate { certificate, key } = &self.administrator;
        let (certificate, key) = (certificate.clone(), key.reveal().to_owned());
        Access {
            cluster: cluster.name().to_owned(),
            server: format!("https://{}:{API_PORT}", cluster.inner().plan.api_address),
            authority: None,
            credentials: Credentials::Certificate { certificate, key },
            path: "/api/v1/namespaces",
            slowdown: cluster.slowdown(),
        }
    }

    async fn on_nodes(&self, cluster: &TestCluster, program: &str) -> Result<(), RelicsError> {
        for node in cluster.nodes() {
            let files = FOLDERS.map(|folder| format!("{folder}/{}", self.name));
            node.run(&Command::within(Duration::from_secs(10), program).args(files)).await?;
        }
        Ok(())
    }
}

/// Searches all file systems of a node except `/proc` and `/sys`.
fn find(name: &str) -> Command {
    let words =
        ["/", "(", "-path", "/proc", "-o", "-path", "/sys", ")", "-prune", "-o", "-name", name, "-print"];
    Command::within(Duration::from_secs(60), "find").args(words)
}

fn objects(cluster: &TestCluster) -> Api<ConfigMap> {
    Api::default_namespaced(cluster.client())
}
