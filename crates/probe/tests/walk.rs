//! `homelab-probe walk` on this host. Without root it sees less, and says so; the test needs none.

use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;
use std::process::{Output, Stdio};

use probe::structure::{NamespaceKind, Request, Seen, VERSION};

#[expect(clippy::disallowed_methods, reason = "the binary under test, run directly")]
fn walk(request: &str) -> Output {
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_homelab-probe"))
        .arg("walk")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary was built");
    child.stdin.take().expect("a pipe").write_all(request.as_bytes()).expect("it reads its request");
    child.wait_with_output().expect("it ends")
}

#[test]
fn a_walk_sees_this_process_its_namespace_its_socket_and_its_links() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let request = Request { version: VERSION, ..Request::default() };
    let output = walk(&serde_json::to_string(&request).unwrap());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let seen: Seen = serde_json::from_slice(&output.stdout).unwrap();

    let own = seen.processes.iter().find(|process| process.pid == std::process::id()).unwrap();
    assert_eq!(own.namespaces.net, std::fs::metadata("/proc/self/ns/net").unwrap().ino());
    let of_net =
        seen.namespaces.iter().find(|it| it.kind == NamespaceKind::Net && it.inode == own.namespaces.net);
    assert!(of_net.unwrap().pids.contains(&own.pid));
    assert!(seen.mounts.iter().any(|table| table.inode == own.namespaces.mnt && !table.mounts.is_empty()));

    // A walk without root cannot enter even its own network namespace, and says so.
    let Some(network) = seen.networks.iter().find(|network| network.inode == own.namespaces.net) else {
        let entering = |line: &String| line.starts_with("enter network namespace");
        assert!(seen.unread.iter().any(entering), "{:?}", seen.unread);
        return;
    };
    assert!(network.links.iter().any(|link| link.loopback && link.name == "lo"));
    let socket =
        network.sockets.iter().find(|it| it.protocol == "tcp" && it.local.is_some_and(|it| it.1 == port));
    assert!(own.sockets.contains(&socket.unwrap().inode), "{own:?}");
}

#[test]
fn a_request_of_another_version_or_form_is_refused() {
    for request in ["", "{}", r#"{"version": 0}"#, r#"{"version": 1, "roots": 3}"#] {
        let output = walk(request);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{request}");
    }
}
