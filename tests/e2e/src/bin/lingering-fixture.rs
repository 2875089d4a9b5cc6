//! A fixture whose body never ends. A test kills this process and checks what it leaves behind.

use harness::fixtures::one_client;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    one_client().run(async |_| std::future::pending().await).await
}
