//! Answers of witnesses and of other peers, with real sockets.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::UnixListener;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use probe::{Ask, Batch, Nonce, ProbeOutcome, Sight};

use crate::run::{RUN, Witness, batch, prober};

const SOON: Duration = Duration::from_millis(1500);

fn witness(from: SocketAddr) -> ProbeOutcome {
    ProbeOutcome::Answered {
        identity: Some("acme".to_owned()),
        from: Some(from.ip()),
        what: vec!["witness".to_owned()],
    }
}

fn refused(at: Option<SocketAddr>) -> ProbeOutcome {
    ProbeOutcome::Refused { from: at.map(|at| at.ip()), what: vec!["Connection refused".to_owned()] }
}

/// An address on which no process listens. The port stays reserved and closed.
fn closed() -> (SocketAddr, TcpListener, UdpSocket) {
    let held = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = held.local_addr().unwrap();
    (SocketAddr::from((Ipv4Addr::new(127, 0, 0, 2), address.port())), held, UdpSocket::bind(address).unwrap())
}

#[test]
fn a_witness_answers_with_its_name_and_reports_every_nonce() {
    let mut witness_process = Witness::acme();
    let (tcp, udp) = (witness_process.at("tcp"), witness_process.at("udp"));
    let (unused, _tcp, _udp) = closed();
    let asks = [
        Ask::Tcp { to: tcp },
        Ask::Udp { to: udp, size: 1300 },
        Ask::HeldTcp { to: tcp, hold_ms: 200 },
        Ask::Tcp { to: unused },
        Ask::Udp { to: unused, size: 20 },
    ];
    let done = prober(&batch(SOON, asks));
    assert!(done.status.success());
    assert_eq!(done.outcome(0), &witness(tcp));
    assert_eq!(done.outcome(1), &witness(udp));
    assert_eq!(done.outcome(2), &witness(tcp));
    assert_eq!(done.outcome(3), &refused(None));
    assert_eq!(done.outcome(4), &refused(Some(unused)));
    let mut arrivals: Vec<_> =
        (0..3).map(|_| witness_process.arrival()).map(|it| (it.nonce, it.protocol, it.to.unwrap())).collect();
    arrivals.sort();
    let expected = [(0, "tcp", tcp), (1, "udp", udp), (2, "tcp", tcp)];
    let expected = expected.map(|(n, name, to)| (Nonce::new(RUN, n), name.to_owned(), to.to_string()));
    assert_eq!(arrivals, expected);
}

#[test]
fn a_witness_answers_only_to_a_nonce_and_ends_on_sigterm() {
    let mut witness = Witness::acme();
    let mut stranger = TcpStream::connect(witness.at("tcp")).unwrap();
    stranger.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    stranger.shutdown(Shutdown::Write).unwrap();
    let mut answer = Vec::new();
    match stranger.read_to_end(&mut answer) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}"), // unread data was left
    }
    assert_eq!(answer, b"");

    // Datagrams are answered in order: an answer to the second one first shows that the first one gets none.
    let stranger = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    stranger.connect(witness.at("udp")).unwrap();
    let nonce = Nonce::new(RUN, 9);
    stranger.send(format!("say {nonce}").as_bytes()).unwrap();
    stranger.send(nonce.as_str().as_bytes()).unwrap();
    let mut buffer = [0; 100];
    stranger.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let length = stranger.recv(&mut buffer).unwrap();
    assert_eq!(&buffer[..length], format!("acme {nonce}\n").as_bytes());
    assert_eq!(witness.arrival().nonce, nonce);

    kill(Pid::from_raw(witness.process.0.id() as i32), Signal::SIGTERM).unwrap();
    assert!(witness.process.0.wait().unwrap().success());
    assert_eq!(witness.rest(), Vec::<String>::new());
}

#[test]
fn a_witness_ends_when_its_reader_closes() {
    let Witness { mut process, .. } = Witness::acme(); // drops the reader
    assert!(process.0.wait().unwrap().success());
}

#[test]
fn an_open_tcp_port_is_an_answer_without_data_and_a_silent_udp_port_is_none() {
    let mute = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let deaf = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let asks = [
        Ask::Tcp { to: mute.local_addr().unwrap() },
        Ask::Udp { to: deaf.local_addr().unwrap(), size: 0 },
        Ask::HeldTcp { to: mute.local_addr().unwrap(), hold_ms: 10 },
        Ask::HeldTcp { to: mute.local_addr().unwrap(), hold_ms: 60_000 },
    ];
    let done = prober(&batch(Duration::from_millis(300), asks));
    let connected = vec!["connected".to_owned()];
    let from = Some(Ipv4Addr::LOCALHOST.into());
    assert_eq!(done.outcome(0), &ProbeOutcome::Answered { identity: None, from, what: connected });
    assert_eq!(done.outcome(1), &ProbeOutcome::Silent);
    assert_eq!(done.outcome(2), &ProbeOutcome::Silent, "an established connection is no answer");
    assert!(matches!(done.outcome(3), ProbeOutcome::NotRun { .. }), "{:?}", done.outcome(3));
}

#[test]
fn unix_sockets_answer_by_path_and_by_abstract_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.sock").to_str().unwrap().to_owned();
    let _by_path = UnixListener::bind(&path).unwrap();
    let name = format!("homelab-probe-test-{}", std::process::id());
    let address = {
        use std::os::linux::net::SocketAddrExt;
        std::os::unix::net::SocketAddr::from_abstract_name(&name).unwrap()
    };
    let _abstract = UnixListener::bind_addr(&address).unwrap();
    let left = folder.path().join("left.sock").to_str().unwrap().to_owned();
    drop(UnixListener::bind(&left).unwrap());
    let paths = [path, format!("@{name}"), left, "/nonexistent/a.sock".to_owned()];
    let done = prober(&batch(SOON, paths.map(|path| Ask::Unix { path })));
    for number in [0, 1] {
        let ProbeOutcome::Answered { what, .. } = done.outcome(number) else {
            panic!("{:?}", done.outcome(number))
        };
        assert_eq!(what[0], "connected");
        assert!(what[1].ends_with(&format!("pid {}", std::process::id())), "{what:?}");
    }
    assert_eq!(done.outcome(2), &refused(None));
    let why = "No such file or directory".to_owned();
    assert_eq!(done.outcome(3), &ProbeOutcome::Unreachable { why });
}

#[test]
fn a_look_shows_mounts_addresses_and_the_boot_id_in_order() {
    // Processes and sockets are left out, because inspecting them takes the rights of process 1 and walks all its
    // mounts.
    let sights = [Sight::Mounts, Sight::Links, Sight::Routes, Sight::Identity];
    let done = prober(&batch(SOON, sights.map(|at| Ask::Look { at })));
    let seen: Vec<_> = (0..4)
        .map(|number| match done.outcome(number) {
            ProbeOutcome::Seen { lines, .. } => lines,
            other => panic!("{:?} shows {other:?}", sights[number as usize]),
        })
        .collect();
    assert!(seen.iter().all(|lines| lines.is_sorted()));
    let has = |place: usize, part: &str| seen[place].iter().any(|line| line.contains(part));
    assert!(has(0, " / "), "{:?}", seen[0]);
    assert!(has(1, "lo 127.0.0.1/8"), "{:?}", seen[1]);
    assert!(has(3, "boot-id "), "{:?}", seen[3]);
}

#[test]
fn an_unanswered_probe_is_repeated_and_given_up_long_before_the_deadline() {
    let deaf = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    deaf.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let asks = [Ask::Udp { to: deaf.local_addr().unwrap(), size: 0 }];
    let done = prober(&Batch { answer_timeout_ms: 80, ..batch(Duration::from_secs(3600), asks) });
    assert_eq!((done.outcome(0), done.answers[0].sent), (&ProbeOutcome::Silent, 3));
    let mut buffer = [0; 100];
    for _ in 0..3 {
        let length = deaf.recv(&mut buffer).unwrap();
        assert_eq!(Nonce::parse(&buffer[..length]), Some(Nonce::new(RUN, 0)));
    }
}

#[test]
fn an_answer_to_the_second_try_counts() {
    let slow = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    slow.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let to = slow.local_addr().unwrap();
    let second = std::thread::spawn(move || {
        let mut buffer = [0; 100];
        slow.recv(&mut buffer).unwrap();
        let (length, peer) = slow.recv_from(&mut buffer).unwrap();
        let nonce = Nonce::parse(&buffer[..length]).unwrap();
        slow.send_to(format!("acme {nonce}\n").as_bytes(), peer).unwrap();
    });
    let done = prober(&batch(SOON, [Ask::Udp { to, size: 0 }]));
    second.join().unwrap();
    assert_eq!(done.outcome(0), &witness(to));
}
