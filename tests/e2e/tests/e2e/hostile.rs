//! The environment of a caller who has set up other tools: nothing in it may decide anything for us.

use std::time::Duration;

use anyhow::ensure;
use provisioner::Provisioner;
use provisioner::exec::Command;

/// Proxies, other engines, other projects, and what changes the tools that we run.
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

/// The same command, called by such a person, whose files nobody else can read.
pub(crate) fn hostile(command: &Command) -> Command {
    let strict = command.wrapped_here_by("sh", ["-c", "umask 077; exec \"$@\"", "sh"]);
    VARIABLES.iter().fold(strict, |command, (name, value)| command.env(*name, *value))
}

/// Finds nothing of it in an instance's first node, whose services everybody in it may use.
pub(crate) async fn left_no_trace_in(provisioner: &Provisioner, instance: &str) -> anyhow::Result<()> {
    let script =
        "tr '\\0' '\\n' </proc/1/environ | cut -d= -f1 | sort | tr '\\n' ' '; stat -c %a /var /var/lib /etc";
    let look = Command::within(Duration::from_secs(10), "sh").args(["-c", script]);
    let told = provisioner.attach(instance).await?.nodes.first.run(&look).await?.text();
    ensure!(told.contains("PATH "), "this shows nothing: {told}");
    ensure!(!told.to_lowercase().contains("proxy"), "a node has the caller's proxy: {told}");
    ensure!(told.ends_with("755\n755\n755\n"), "modes depend on who calls: {told}");
    Ok(())
}
