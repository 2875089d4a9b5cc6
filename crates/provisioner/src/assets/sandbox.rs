//! Runs the build's tools in separate namespaces, so that no process and no mount of a build outlives it.
//!
//! A builder may be killed at any moment, and then runs no clean-up. mmdebstrap mounts the host's `/proc` and `/sys` in
//! its tree while it works, containerd mounts what it unpacks, and go starts dozens of compilers. In a pid namespace,
//! all processes end with the first one, which ends with this process. In a mount namespace, the mounts end with the
//! processes. Next in the flow: `build` waits for the commands.

use crate::exec::Command;

/// Wraps a command so that it ends when the thread that started it ends, and all its descendants end with it.
const CONTAINED: [&str; 10] = [
    "--pdeathsig",
    "KILL",
    "unshare",
    "--mount",
    "--pid",
    "--fork",
    "--kill-child=KILL",
    "--mount-proc",
    "--",
    "sh",
];

/// The command, with its processes and mounts contained. Pure.
pub(super) fn contained(command: &Command) -> Command {
    wrapped(command, r#"exec "$@""#)
}

/// As [`contained`], with an empty `/run` for tools that leave sockets and locks there. Name resolution may not work
/// then.
pub(super) fn contained_with_own_run(command: &Command) -> Command {
    wrapped(command, r#"mount -t tmpfs tmpfs /run && exec "$@""#)
}

fn wrapped(command: &Command, first: &str) -> Command {
    command.wrapped_here_by("setpriv", CONTAINED.into_iter().chain(["-c", first, "sh"]))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_sandboxed_command_keeps_its_folder_and_its_environment() {
        let command =
            Command::within(Duration::from_secs(1), "go").arg("build").env("A", "b").in_directory("/m");
        insta::assert_snapshot!(contained(&command).to_string(), @r#"cd /m && A=b setpriv --pdeathsig KILL unshare --mount --pid --fork --kill-child=KILL --mount-proc -- sh -c 'exec "$@"' sh go build"#);
    }
}
