//! Writes 100 kB into a file with `Foreign`. Tests limit the file size of this process and check the file afterwards.

use anyhow::Context;
use camino::Utf8PathBuf;
use provisioner::files::{Foreign, Fresh};

fn main() -> anyhow::Result<()> {
    let path: Utf8PathBuf = std::env::args().nth(1).context("usage: writer PATH")?.into();
    Foreign::read(&path)?.write(&vec![b'x'; 100_000], Fresh::Public)?;
    Ok(())
}
