//! Maps errors of the kernel to outcomes of a probe. Pure.

use std::io;

use nix::errno::Errno;
use probe::ProbeOutcome;

/// The outcome that an error stands for.
pub(super) fn outcome(error: &io::Error) -> ProbeOutcome {
    let Some(errno) = error.raw_os_error().map(Errno::from_raw) else {
        return ProbeOutcome::NotRun { why: error.to_string() };
    };
    let text = errno.desc().to_owned();
    match errno {
        // RST, ICMP port unreachable and ICMP protocol unreachable, in that order (tcp(7), udp(7), raw(7)).
        Errno::ECONNRESET | Errno::ECONNREFUSED | Errno::ENOPROTOOPT => {
            ProbeOutcome::Refused { from: None, what: vec![text] }
        }
        // ENOENT: the UNIX socket does not exist.
        Errno::EHOSTUNREACH | Errno::ENETUNREACH | Errno::EHOSTDOWN | Errno::ENETDOWN | Errno::ENOENT => {
            ProbeOutcome::Unreachable { why: text }
        }
        Errno::ETIMEDOUT | Errno::EAGAIN => ProbeOutcome::Silent,
        _ => ProbeOutcome::NotRun { why: text },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_has_one_meaning_and_an_unknown_one_is_no_answer() {
        let refused = |what: &str| ProbeOutcome::Refused { from: None, what: vec![what.to_owned()] };
        let unreachable = |why: &str| ProbeOutcome::Unreachable { why: why.to_owned() };
        let not_run = |why: &str| ProbeOutcome::NotRun { why: why.to_owned() };
        let table = [
            (Errno::ECONNREFUSED, refused("Connection refused")),
            (Errno::ECONNRESET, refused("Connection reset by peer")),
            (Errno::ENOPROTOOPT, refused("Protocol not available")),
            (Errno::EHOSTUNREACH, unreachable("No route to host")),
            (Errno::ENETUNREACH, unreachable("Network is unreachable")),
            (Errno::EHOSTDOWN, unreachable("Host is down")),
            (Errno::ENETDOWN, unreachable("Network is down")),
            (Errno::ENOENT, unreachable("No such file or directory")),
            (Errno::ETIMEDOUT, ProbeOutcome::Silent),
            (Errno::EAGAIN, ProbeOutcome::Silent),
            (Errno::EPERM, not_run("Operation not permitted")),
            (Errno::EACCES, not_run("Permission denied")),
            (Errno::ENODEV, not_run("No such device")),
            (Errno::EMSGSIZE, not_run("Message too long")),
            (Errno::EADDRNOTAVAIL, not_run("Cannot assign requested address")),
            (Errno::EMFILE, not_run("Too many open files")),
            (Errno::ENOBUFS, not_run("No buffer space available")),
        ];
        for (errno, expected) in table {
            assert_eq!(outcome(&io::Error::from_raw_os_error(errno as i32)), expected, "{errno}");
        }
        assert_eq!(outcome(&io::Error::other("no such thing")), not_run("no such thing"));
    }
}
