//! Disks with the program and its exported assets. Next in the flow: `vm` attaches them.

use std::fs;
use std::time::Duration;

use anyhow::{Context, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use provisioner::assets::Assets;
use provisioner::exec::environment::OURS;
use provisioner::exec::{Command, Local, Runner};
use provisioner::home::Home;
use provisioner::request::KUBERNETES_VERSION;

/// Makes a disk with the label `program` that contains the `homelab` built with this test.
pub(super) async fn program(folder: &Utf8Path) -> anyhow::Result<Utf8PathBuf> {
    let content = folder.join("program");
    fs::create_dir_all(&content)?;
    fs::copy(built()?, content.join("homelab"))?;
    let disk = folder.join("program.raw");
    file_system("program", &content, &disk).await?;
    Ok(disk)
}

/// The disk with the label `assets`, which contains the exported assets. Packing takes a minute, so the disk is kept in
/// the cache under the digests of its contents. Disks with other digests are removed.
pub(super) async fn assets() -> anyhow::Result<Utf8PathBuf> {
    let home = Home::from_env()?;
    let image = Assets::in_cache(home.cache().to_owned()).find(KUBERNETES_VERSION);
    let image = image.context("the node image is built")?;
    let digest = |path: &Utf8Path| path.file_name().unwrap_or_default().to_owned();
    let cache = home.cache().join("hosts");
    let disk = cache.join(format!("assets-{}-{}.raw", digest(&image.root), digest(&image.containerd_store)));
    if disk.exists() {
        return Ok(disk);
    }
    for entry in cache.read_dir_utf8()? {
        let path = entry?.into_path();
        match path.file_name() {
            Some("assets") => fs::remove_dir_all(&path)?,
            Some(name) if name.starts_with("assets-") => fs::remove_file(&path)?,
            _ => {}
        }
    }
    let (content, half) = (cache.join("assets"), cache.join("assets-half.raw"));
    fs::create_dir_all(&content)?;
    let export = Command::within(Duration::from_secs(600), built()?).keeping(OURS.iter().copied());
    Local.run(&export.args(["assets", "export", content.join("node.tgz").as_str()])).await?;
    file_system("assets", &content, &half).await?;
    fs::remove_dir_all(&content)?;
    fs::rename(&half, &disk)?;
    Ok(disk)
}

fn built() -> anyhow::Result<Utf8PathBuf> {
    let test = Utf8PathBuf::try_from(std::env::current_exe()?)?;
    let folder = test.parent().and_then(Utf8Path::parent).context("a folder of built programs")?;
    let program = folder.join("homelab");
    ensure!(program.exists(), "{program} is not built: `cargo build`");
    Ok(program)
}

/// Makes a sparse disk without partitions, with this content.
async fn file_system(label: &str, content: &Utf8Path, disk: &Utf8Path) -> anyhow::Result<()> {
    let make = Command::within(Duration::from_secs(300), "mke2fs").args(["-q", "-t", "ext4", "-L", label]);
    Local.run(&make.args(["-d", content.as_str(), disk.as_str(), "4G"])).await?;
    Ok(())
}
