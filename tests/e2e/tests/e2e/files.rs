//! Files of other programs in states that only root can create: devices, read-only and full mounts, attributes, other
//! owners. Each test runs a script in a separate mount namespace and starts no cluster, because `up` refuses unusable
//! files first.

use std::time::Duration;

use anyhow::{Context, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use provisioner::dns::{Dns, Records};
use provisioner::exec::{Command, Failure, Local, Runner};
use provisioner::files::{Foreign, Fresh};
use provisioner::home::Home;
use provisioner::plan::{ClusterPlan, Pools, Taken};
use provisioner::request::ClusterSpec;

use crate::claims::claimed;

/// Start of each script: a folder with a home, and a kubeconfig and a hosts file of another program.
const BEGIN: &str = r#"
mkdir kube home
printf 'contexts:\n- name: work\n  context: {cluster: work}\n' > kube/config
printf '127.0.0.1 localhost\n' > hosts
printf 'dns: { hostsFile: %s/hosts }\n' "$PWD" > home/config.yaml
export HOMELAB_HOME="$PWD/home" KUBECONFIG="$PWD/kube/config" HOME="$PWD" NO_COLOR=1
unset SUDO_UID SUDO_GID SUDO_USER
# An empty PATH keeps `up` from starting anything if it does not refuse.
up() { PATH=/nowhere "$HOMELAB" up acme && exit 99 || echo "ended with $?"; ! test -e home/instances; }
"#;

/// Set in the process that runs in a separate mount namespace.
const INSIDE: &str = "HOMELAB_E2E_OWN_MOUNTS";

/// Runs a script in an empty folder and returns its output.
async fn session(script: &str) -> anyhow::Result<String> {
    let program = Utf8PathBuf::try_from(std::env::current_exe()?)?;
    let homelab =
        program.parent().and_then(Utf8Path::parent).context("a folder of built programs")?.join("homelab");
    ensure!(homelab.exists(), "{homelab} is not built: `cargo build`");
    // In the folder of built programs, because file systems for temporary files do not support all attributes.
    let folder = tempfile::tempdir_in(homelab.parent().unwrap_or(Utf8Path::new("/")))?;
    let text = format!("exec 2>&1\n{BEGIN}{script}");
    let command = Command::within(Duration::from_secs(60), "unshare")
        .args(["--mount", "--propagation", "private", "bash", "-euc", &text])
        .env("HOMELAB", homelab.as_str())
        .in_directory(folder.path().to_str().context("a path that is text")?);
    match Local.run(&command).await {
        Ok(output) => Ok(output.text()),
        Err(error) => match error.failure {
            Failure::Status { stdout, .. } => anyhow::bail!("the script failed:\n{stdout}"),
            failure => anyhow::bail!("{failure}"),
        },
    }
}

/// Runs a script, which must succeed and print all these texts.
async fn says(script: &str, expected: &[&str]) -> anyhow::Result<()> {
    let told = session(script).await?;
    for expected in expected {
        ensure!(told.contains(expected), "the output lacks '{expected}':\n{told}");
    }
    Ok(())
}

#[tokio::test]
async fn up_and_down_leave_a_device_as_it_is() -> anyhow::Result<()> {
    let script = r#"
        rm kube/config; mknod kube/config c 1 3; ls -l kube > before
        "$HOMELAB" down nosuch || true
        up
        ls -l kube | diff before -
        rm hosts; mknod hosts b 7 99
        "$HOMELAB" down nosuch || true
        test -b hosts
        rm kube/config; up
    "#;
    says(
        script,
        &["kube/config", "it is a character device", "hosts", "it is a block device", "ended with 4"],
    )
    .await
}

#[tokio::test]
async fn files_mounted_read_only_are_refused_before_anything_is_created() -> anyhow::Result<()> {
    let script = r#"
        mount --bind kube kube; mount -o remount,bind,ro kube
        up
        "$HOMELAB" down nosuch || true
        umount kube
        mkdir etc; mv hosts etc; printf 'dns: { hostsFile: %s/etc/hosts }\n' "$PWD" > home/config.yaml
        mount --bind etc etc; mount -o remount,bind,ro etc
        up
        umount etc
    "#;
    says(script, &["kube", "Read-only file system", "mounted read-only", "etc/hosts", "ended with 4"]).await
}

#[tokio::test]
async fn a_file_that_root_itself_may_not_change_is_refused_with_the_command_that_frees_it()
-> anyhow::Result<()> {
    let script = r#"
        trap 'chattr -ia kube/config hosts' EXIT
        chattr +i kube/config; up; chattr -i kube/config
        chattr +a hosts; up
    "#;
    says(
        script,
        &["it is immutable", "`chattr -i ", "it can only be appended to", "`chattr -a ", "ended with 4"],
    )
    .await
}

#[tokio::test]
async fn a_disk_without_room_is_refused_before_anything_is_created() -> anyhow::Result<()> {
    let script = r#"
        mkdir small; mount -t tmpfs -o size=64k tmpfs small
        cp kube/config small; export KUBECONFIG="$PWD/small/config"
        up
        cmp kube/config small/config; test "$(ls -A small)" = config
        umount small
    "#;
    says(script, &["make files in", "make room on the disk that holds", "ended with 4"]).await
}

#[tokio::test]
async fn a_hosts_file_that_is_a_mount_point_is_written_in_place_also_in_a_read_only_folder()
-> anyhow::Result<()> {
    if std::env::var(INSIDE).is_ok() {
        return hosts_in_a_container().await;
    }
    let name = "files::a_hosts_file_that_is_a_mount_point_is_written_in_place_also_in_a_read_only_folder";
    let program = std::env::current_exe()?;
    let again = Command::within(Duration::from_secs(60), "unshare")
        .args(["--mount", "--propagation", "private", &program.to_string_lossy()])
        .args([name, "--exact", "--nocapture"])
        .env(INSIDE, "1");
    let output = Local.run(&again).await?;
    ensure!(output.text().contains("1 passed"), "the test did not run itself once: {}", output.text());
    Ok(())
}

/// As in a container with a read-only root file system.
async fn hosts_in_a_container() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let at = |name: &str| format!("{}/{name}", folder.path().display());
    std::fs::create_dir(at("etc"))?;
    std::fs::write(at("etc/hosts"), "")?;
    std::fs::write(at("hosts"), "127.0.0.1 localhost\n")?;
    let mounts = format!(
        "mount --bind {0} {0}; mount --bind {1} {2}; mount -o remount,bind,ro {0}",
        at("etc"),
        at("hosts"),
        at("etc/hosts")
    );
    Local.run(&Command::within(Duration::from_secs(20), "sh").args(["-euc", &mounts])).await?;
    let home = Home::at(at("home"));
    let taken = Taken::default();
    let instance = claimed(&ClusterSpec::new("acme").check()?, &taken, &Pools::default())?;
    let records = Records::of(&ClusterPlan::of(&instance, &home));
    let dns = Dns::Hosts { file: at("etc/hosts").into(), labels: Vec::new() };
    dns.check(&records.id)?;
    ensure!(dns.add(&records)?, "nothing was recorded");
    ensure!(
        std::fs::read_to_string(at("hosts"))?.contains("api.acme.lab"),
        "the file behind the mount has no record"
    );
    ensure!(dns.remove(&home, "acme")?, "nothing was removed");
    ensure!(
        std::fs::read_to_string(at("hosts"))? == "127.0.0.1 localhost\n",
        "the hosts file is not as before"
    );
    Ok(())
}

#[tokio::test]
async fn owner_and_mode_of_a_file_stay_when_root_changes_it() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let path = Utf8Path::from_path(folder.path()).context("a path that is text")?.join("config");
    std::fs::write(&path, "before\n")?;
    std::os::unix::fs::chown(&path, Some(4711), Some(4712))?;
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o640))?;
    let about = |path: &Utf8Path| {
        use std::os::unix::fs::MetadataExt;
        std::fs::metadata(path).map(|about| (about.uid(), about.gid(), about.mode() & 0o7777))
    };
    let written = Foreign::read(&path)?.write(b"after\n", Fresh::Public)?;
    ensure!(written && about(&path)? == (4711, 4712, 0o640), "{:?}", about(&path)?);
    Ok(())
}
