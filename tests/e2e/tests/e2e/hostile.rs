//! The environment of a caller with other tools. None of its variables may affect homelab.

use std::time::Duration;

use anyhow::ensure;
use provisioner::Provisioner;
use provisioner::exec::Command;

/// Variables for proxies, other container engines and other Vagrant projects, and variables that change tools that
/// homelab runs.
const VARIABLES: [(&str, &str); 13] = [
    ("HTTPS_PROXY", "http://127.0.0.1:9"),
    ("https_proxy", "http://127.0.0.1:9"),
    ("ALL_PROXY", "socks5://127.0.0.1:9"),
    ("NO_PROXY", "*"),
    ("CONTAINER_HOST", "tcp://127.0.0.1:9"),
    ("CONTAINERS_CONF", "/nonexistent/containers.conf"),
    ("DOCKER_HOST", "tcp://127.0.0.1:9"),
    ("VAGRANT_CWD", "/nonexistent"),
    ("LD_LIBRARY_PATH", "/nonexistent"),
    ("TAR_OPTIONS", "--exclude=*"),
    ("POSIXLY_CORRECT", "1"),
    ("XDG_RUNTIME_DIR", "/nonexistent"),
    ("LC_ALL", "de_DE.UTF-8"),
];

/// The same command, called with these variables and a umask of 077.
pub(crate) fn hostile(command: &Command) -> Command {
    let strict = command.wrapped_here_by("sh", ["-c", "umask 077; exec \"$@\"", "sh"]);
    VARIABLES.iter().fold(strict, |command, (name, value)| command.env(*name, *value))
}

/// Fails if an instance's first node shows the caller's environment or umask. All services of the node can read both.
pub(crate) async fn left_no_trace_in(provisioner: &Provisioner, instance: &str) -> anyhow::Result<()> {
    let script =
        "tr '\\0' '\\n' </proc/1/environ | cut -d= -f1 | sort | tr '\\n' ' '; stat -c %a /var /var/lib /etc";
    let look = Command::within(Duration::from_secs(10), "sh").args(["-c", script]);
    let told = provisioner.attach(instance).await?.nodes.first.run(&look).await?.text();
    ensure!(told.contains("PATH "), "the node's environment was not printed: {told}");
    ensure!(!told.to_lowercase().contains("proxy"), "the node has the caller's proxy: {told}");
    ensure!(told.ends_with("755\n755\n755\n"), "the modes depend on the caller's umask: {told}");
    Ok(())
}
