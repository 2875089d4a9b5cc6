//! A client of an instance's API server, which is on a link of this host and is reached without a proxy.
//!
//! kube-rs takes a proxy from `HTTPS_PROXY` or the kubeconfig's `proxy-url`, and a client with one would ask somebody
//! else's server about ours, or nobody.

use camino::Utf8Path;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use crate::slowdown::Stretched;

/// Why a kubeconfig gives no client.
pub type Unusable = Box<dyn std::error::Error + Send + Sync>;

/// A client with the rights of a kubeconfig's current context.
///
/// # Errors
/// When the file cannot be used.
pub async fn client(path: &Utf8Path) -> Result<Client, Unusable> {
    Ok(Client::try_from(config(path, None).await?)?)
}

/// A client with the rights of a context, which gives up when connecting or one answer takes longer than this.
///
/// # Errors
/// When the file cannot be used.
pub async fn impatient_client(path: &Utf8Path, context: &str, within: Stretched) -> Result<Client, Unusable> {
    let mut config = config(path, Some(context.to_owned())).await?;
    config.connect_timeout = Some(within.on_clock());
    config.read_timeout = Some(within.on_clock());
    Ok(Client::try_from(config)?)
}

async fn config(path: &Utf8Path, context: Option<String>) -> Result<Config, Unusable> {
    let mut file = Kubeconfig::read_from(path)?;
    for cluster in file.clusters.iter_mut().filter_map(|named| named.cluster.as_mut()) {
        // Where the file names none, kube-rs asks the environment, and refuses what is no address there.
        cluster.proxy_url = Some("http://none.invalid".to_owned());
    }
    let options = KubeConfigOptions { context, ..KubeConfigOptions::default() };
    let mut config = Config::from_custom_kubeconfig(file, &options).await?;
    config.proxy_url = None;
    Ok(config)
}
