//! VMs on VirtualBox, on hosts that have it: `make test-vagrant PROVIDER=virtualbox`.

use provisioner::request::Provider;

use super::libvirt::keeps_every_promise;

#[tokio::test]
async fn the_engine_keeps_every_promise_on_virtualbox() -> anyhow::Result<()> {
    keeps_every_promise(Provider::Virtualbox).await
}
