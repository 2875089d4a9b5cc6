//! The image of the name server: Debian's dnsmasq and its libraries, from Debian's mirrors.

use std::time::Duration;

use anyhow::Context;
use camino::{Utf8Path, Utf8PathBuf};
use provisioner::assets::apt_sources;
use provisioner::exec::environment::DOWNLOADS;
use provisioner::exec::{Command, Local, Runner};
use sha2::{Digest, Sha256};

/// The image's name in podman.
pub(super) const NAME: &str = "localhost/homelab-dnsmasq:1";

/// The arguments that decide the image's contents. Packages are extracted but not configured, because only two programs
/// run.
const RECIPE: [&str; 4] =
    ["--format=tar", "--variant=extract", "--include=dnsmasq-base,coreutils", "bookworm"];

/// The image's root file system as an archive. It is made once and kept in the cache like other assets: under the
/// digest of its recipe, and renamed to that only when it is complete.
pub(super) async fn archive(cache: &Utf8Path) -> anyhow::Result<Utf8PathBuf> {
    const FILE: &str = "root.tar";
    let digest = Sha256::digest(RECIPE.join("\n"));
    let digest: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let shelf = cache.join("dnsmasq");
    let finished = shelf.join(&digest);
    if !finished.exists() {
        std::fs::create_dir_all(&shelf)?;
        let part = tempfile::Builder::new().prefix(&format!(".{digest}.")).tempdir_in(&shelf)?;
        let path = Utf8Path::from_path(part.path()).context("a path that is text")?;
        let make = Command::within(Duration::from_secs(300), "mmdebstrap").keeping(DOWNLOADS.iter().copied());
        Local.run(&make.args(RECIPE).arg(path.join(FILE)).args(apt_sources())).await?;
        std::fs::rename(path, &finished)?;
    }
    Ok(finished.join(FILE))
}
