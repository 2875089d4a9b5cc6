//! Reads the version of an API server with homelab's API client, for tests with other environment variables.
//!
//! `asker KUBECONFIG`

use anyhow::Context;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let path = std::env::args().nth(1).context("asker KUBECONFIG")?;
    let client =
        provisioner::kubeconfig::client(path.as_str().into()).await.map_err(anyhow::Error::from_boxed)?;
    let version = client.apiserver_version().await?;
    Ok(std::io::Write::write_all(&mut std::io::stdout(), format!("{}\n", version.git_version).as_bytes())?)
}
