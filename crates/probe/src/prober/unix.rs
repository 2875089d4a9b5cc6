//! UNIX sockets, with a path or an abstract name.

use std::io::{self, ErrorKind};

use probe::ProbeOutcome;
use tokio::net::UnixStream;

use super::attempt::Attempt;

/// Connects, and answers with the user and process that listen.
pub(super) async fn ask(attempt: &Attempt, path: &str) -> io::Result<ProbeOutcome> {
    attempt.sent(1);
    // unix(7): an abstract name begins with a zero byte, written as `@` by convention.
    let name = path.strip_prefix('@').map_or_else(|| path.to_owned(), |name| format!("\0{name}"));
    match UnixStream::connect(name).await {
        Ok(stream) => {
            let peer = stream.peer_cred()?;
            let pid = peer.pid().map_or_else(String::new, |pid| format!(" pid {pid}"));
            let what = vec!["connected".to_owned(), format!("to uid {}{pid}", peer.uid())];
            Ok(ProbeOutcome::Answered { identity: None, from: None, what })
        }
        // The socket exists, but its permissions forbid the connection.
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            Ok(ProbeOutcome::Refused { from: None, what: vec!["Permission denied".to_owned()] })
        }
        Err(error) => Err(error),
    }
}
