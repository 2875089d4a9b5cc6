//! API clients that connect to an instance's API server directly, without a proxy: the server is on a link of the host.
//!
//! kube-rs takes a proxy from `HTTPS_PROXY` or the kubeconfig's `proxy-url`. Through a proxy, an API client would reach
//! another server at that address, or none.

use camino::Utf8Path;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use crate::slowdown::Stretched;

/// Why no API client can be made from a kubeconfig.
pub type Unusable = Box<dyn std::error::Error + Send + Sync>;

/// An API client with the credentials of a kubeconfig's current context.
///
/// # Errors
/// When the file cannot be read or has no usable context.
pub async fn client(path: &Utf8Path) -> Result<Client, Unusable> {
    Ok(Client::try_from(config(path, None).await?)?)
}

/// An API client with the credentials of this context. `within` is its time-out for connecting and for each answer.
///
/// # Errors
/// When the file cannot be read or has no such context.
pub async fn impatient_client(path: &Utf8Path, context: &str, within: Stretched) -> Result<Client, Unusable> {
    let mut config = config(path, Some(context.to_owned())).await?;
    config.connect_timeout = Some(within.on_clock());
    config.read_timeout = Some(within.on_clock());
    Ok(Client::try_from(config)?)
}

async fn config(path: &Utf8Path, context: Option<String>) -> Result<Config, Unusable> {
    let mut file = Kubeconfig::read_from(path)?;
    for cluster in file.clusters.iter_mut().filter_map(|named| named.cluster.as_mut()) {
        // Without a `proxy-url`, kube-rs reads the proxy from the environment, and fails if that is not a valid URL.
        cluster.proxy_url = Some("http://none.invalid".to_owned());
    }
    let options = KubeConfigOptions { context, ..KubeConfigOptions::default() };
    let mut config = Config::from_custom_kubeconfig(file, &options).await?;
    config.proxy_url = None;
    Ok(config)
}
