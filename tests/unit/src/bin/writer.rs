//! Writes a hundred kilobytes into a file of others: what tests limit, and look at afterwards.

use anyhow::Context;
use camino::Utf8PathBuf;
use provisioner::files::{Foreign, Fresh};

fn main() -> anyhow::Result<()> {
    let path: Utf8PathBuf = std::env::args().nth(1).context("usage: writer PATH")?.into();
    Foreign::read(&path)?.write(&vec![b'x'; 100_000], Fresh::Public)?;
    Ok(())
}
