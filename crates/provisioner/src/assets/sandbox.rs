//! Namespaces of their own for the build's tools, so that nothing of a build outlives it.
//!
//! A builder may be killed at any moment, and then runs no clean-up. mmdebstrap has the host's `/proc` and `/sys`
//! mounted in its tree while it works, containerd mounts what it unpacks, and go starts compilers by the dozen. In
//! a pid namespace they all end with its first process, in a mount namespace their mounts end with them, and the
//! first process ends with us. What is started here is waited for by the next file in the flow, `build`.

use crate::exec::Command;

/// Ends with the thread that starts it; all below it ends with it.
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

/// The same with an empty `/run`, for what leaves sockets and locks there; there may be no name service then.
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
    fn a_contained_command_keeps_its_folder_and_its_environment() {
        let command =
            Command::within(Duration::from_secs(1), "go").arg("build").env("A", "b").in_directory("/m");
        insta::assert_snapshot!(contained(&command).to_string(), @r#"cd /m && A=b setpriv --pdeathsig KILL unshare --mount --pid --fork --kill-child=KILL --mount-proc -- sh -c 'exec "$@"' sh go build"#);
    }
}
