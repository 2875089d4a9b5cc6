//! Starts probers and witnesses, and ends them.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use probe::{Answer, Arrival, Ask, Batch, Nonce, Probe, ProbeOutcome, ProbeResult, VERSION, WitnessLine};

/// The run in all nonces of these tests.
pub(crate) const RUN: u32 = 0x00c0_ffee;

/// A process of the binary, killed at the latest when it is dropped.
#[derive(Debug)]
pub(crate) struct Process(pub(crate) Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill(); // it may have ended already
        let _ = self.0.wait();
    }
}

impl Process {
    #[expect(
        clippy::disallowed_methods,
        reason = "the binary under test is a process; this crate knows no Runner"
    )]
    pub(crate) fn start(words: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_homelab-probe"));
        let piped = command.args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self(piped.spawn().unwrap())
    }

    pub(crate) fn stdin(&mut self) -> ChildStdin {
        self.0.stdin.take().unwrap()
    }

    pub(crate) fn stdout(&mut self) -> BufReader<ChildStdout> {
        BufReader::new(self.0.stdout.take().unwrap())
    }

    pub(crate) fn stderr(&mut self) -> String {
        std::io::read_to_string(self.0.stderr.take().unwrap()).unwrap()
    }
}

/// A prober's output, after its end.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) answers: Vec<Answer>,
    pub(crate) took: Duration,
    pub(crate) status: ExitStatus,
}

impl Done {
    pub(crate) fn outcome(&self, number: u32) -> &ProbeOutcome {
        let nonce = Nonce::new(RUN, number);
        let mut own = self.answers.iter().filter(|answer| answer.nonce == nonce);
        let (first, second) = (own.next(), own.next());
        assert!(second.is_none(), "{nonce} was answered twice: {:?}", self.answers);
        &first.unwrap_or_else(|| panic!("{nonce} has no answer: {:?}", self.answers)).outcome
    }
}

/// A batch whose probes have the numbers 0, 1, ….
pub(crate) fn batch(deadline: Duration, asks: impl IntoIterator<Item = Ask>) -> Batch {
    let number = |(number, ask)| Probe { nonce: Nonce::new(RUN, number), ask };
    Batch {
        version: VERSION,
        deadline_ms: deadline.as_millis() as u64,
        // Three tries, a quarter of it apart, and the whole of it after the last: one and a half times this.
        answer_timeout_ms: (deadline.as_millis() as u64 / 2).max(1),
        rate: 20_000,
        probes: (0..).zip(asks).map(number).collect(),
    }
}

/// Runs a prober until it ends.
pub(crate) fn prober(batch: &Batch) -> Done {
    let mut process = Process::start(&["prober"]);
    let text = serde_json::to_vec(batch).unwrap();
    process.stdin().write_all(&text).unwrap(); // and closes it
    let started = Instant::now();
    let mut said: Vec<ProbeResult> =
        process.stdout().lines().map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect();
    let status = process.0.wait().unwrap();
    let took = started.elapsed();
    assert_eq!(said.pop(), Some(ProbeResult::End { answers: batch.probes.len() }), "{}", process.stderr());
    let answers: Vec<_> = said
        .into_iter()
        .map(|said| match said {
            ProbeResult::Answer(answer) => answer,
            ProbeResult::End { .. } => panic!("the prober wrote its last line twice"),
        })
        .collect();
    assert_eq!(answers.len(), batch.probes.len());
    Done { answers, took, status }
}

/// A witness that has reported `Ready`.
#[derive(Debug)]
pub(crate) struct Witness {
    pub(crate) process: Process,
    lines: BufReader<ChildStdout>,
    pub(crate) on: Vec<String>,
}

impl Witness {
    /// A witness named acme on free ports of loopback.
    pub(crate) fn acme() -> Self {
        let words = ["witness", "--identity", "acme", "--tcp", "127.0.0.1:0", "--udp", "127.0.0.1:0"];
        let mut process = Process::start(&words);
        let mut lines = process.stdout();
        let mut ready = String::new();
        lines.read_line(&mut ready).unwrap();
        let Ok(WitnessLine::Ready { version, identity, on }) = serde_json::from_str(&ready) else {
            panic!("not ready: {ready} {}", process.stderr());
        };
        assert_eq!((version, identity.as_str()), (VERSION, "acme"));
        Self { process, lines, on }
    }

    /// The address on which the witness listens by this protocol.
    pub(crate) fn at(&self, protocol: &str) -> SocketAddr {
        let address = self.on.iter().find_map(|on| on.strip_prefix(protocol));
        address.unwrap().trim().parse().unwrap()
    }

    /// Waits for the next arrival.
    pub(crate) fn arrival(&mut self) -> Arrival {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        match serde_json::from_str(&line).unwrap() {
            WitnessLine::Arrived(arrival) => arrival,
            other => panic!("no arrival: {other:?}"),
        }
    }

    /// The remaining lines, after the witness has ended.
    pub(crate) fn rest(self) -> Vec<String> {
        self.lines.lines().map(Result::unwrap).collect()
    }
}
