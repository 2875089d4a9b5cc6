//! `homelab` is killed at random moments. The operator's next command brings the instance to its previous or its wanted
//! state, leaves nothing behind, and does not affect other instances.
//!
//! SIGKILL hits only the program, as with `kill -9` or the OOM killer: podman and other children live on for a while.
//! The moments are spread evenly over the time that the verb has just taken on this host.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use harness::inventory::Inventory;
use harness::wait::{Wait, until};
use provisioner::Provisioner;
use provisioner::exec::{Command, CommandError, Local, Runner};
use provisioner::home::Home;
use provisioner::identity::IdentityError;
use provisioner::registry::{Instance, State};
use provisioner::slowdown::{Slowdown, Stretched};
use unit::Choices;

use crate::operator::desk::Desk;

/// Number of kills, unless `KILLS` is set.
const KILLS: usize = 100;
/// The instance whose verbs are killed.
const SUBJECT: &str = "acme";
/// The instance that keeps running throughout.
const BYSTANDER: &str = "globex";

/// The commands that the operator types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Verb {
    Up,
    AddWorker,
    RemoveWorker,
    Halt,
    Start,
    Down,
    Reap,
}

impl Verb {
    /// All verbs that are killed, in an order in which each is possible after the one before.
    const KILLED: [Self; 6] =
        [Self::Up, Self::AddWorker, Self::RemoveWorker, Self::Halt, Self::Start, Self::Down];

    fn words(self) -> &'static [&'static str] {
        match self {
            Self::Up => &["up", SUBJECT, "--workers", "0", "--cni", "routed"],
            Self::AddWorker => &["k8s", "add-worker", SUBJECT],
            Self::RemoveWorker => &["k8s", "remove-worker", SUBJECT, "acme-w-1"],
            Self::Halt => &["halt", SUBJECT],
            Self::Start => &["start", SUBJECT],
            Self::Down => &["down", SUBJECT, "--yes"],
            Self::Reap => &["reap"],
        }
    }

    /// The verbs that are possible for an instance in this state, besides `down`. It never gets more than one worker,
    /// so that the worker's number is known.
    fn possible(subject: Option<&Instance>) -> &'static [Self] {
        match subject.map(|it| (it.state, it.workers.count())) {
            None => &[Self::Up],
            Some((State::Running, 0)) => &[Self::AddWorker, Self::Halt],
            Some((State::Running, _)) => &[Self::RemoveWorker, Self::Halt],
            Some(_) => &[Self::Start],
        }
    }

    /// The verbs that may follow a kill of this one, if it left this entry.
    fn next(self, left: Option<&Instance>) -> &'static [Self] {
        match (self, left) {
            (_, None) => &[Self::Reap],
            (Self::Up, Some(it)) if it.operation.is_none() => &[Self::Halt, Self::Down],
            (Self::Up, _) => &[Self::Up, Self::Down, Self::Reap],
            (Self::AddWorker, Some(it)) if it.workers.count() > 0 => {
                &[Self::RemoveWorker, Self::Halt, Self::Down]
            }
            (Self::AddWorker, _) => &[Self::AddWorker, Self::Halt, Self::Down],
            (Self::RemoveWorker, Some(it)) if it.workers.count() == 0 => {
                &[Self::AddWorker, Self::Halt, Self::Down]
            }
            (Self::RemoveWorker, _) => &[Self::RemoveWorker, Self::Halt, Self::Down],
            (Self::Halt | Self::Start, _) => &[Self::Halt, Self::Start, Self::Down],
            (Self::Down | Self::Reap, _) => &[Self::Down, Self::Reap],
        }
    }
}

/// One kill, as printed.
struct Kill {
    number: usize,
    verb: Verb,
    after: Duration,
    next: Verb,
}

impl fmt::Display for Kill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { number, verb, after, next } = self;
        write!(f, "kill {number}: {verb:?} after {} ms, then {next:?}", after.as_millis())
    }
}

#[tokio::test]
async fn a_verb_that_is_killed_at_any_moment_is_finished_or_undone_by_the_next_one() -> anyhow::Result<()> {
    // KILLS_SEED repeats the choices of an earlier run, as far as the host is equally fast.
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let seed = number("KILLS_SEED").unwrap_or_else(|| RandomState::new().hash_one("kills"));
    let count = number("KILLS").and_then(|count| usize::try_from(count).ok()).unwrap_or(KILLS);
    let before = Inventory::take(&Provisioner::new(Home::from_env()?)?).await?;
    let told = Desk::with(async |desk| {
        desk.homelab(&["up", BYSTANDER, "--topology", "k8s-single", "--cni", "routed"]).await?;
        Lab::of(desk, Choices::of(seed)).await?.run(count).await
    });
    told.await.with_context(|| format!("KILLS_SEED={seed}"))?;
    let left = Inventory::take(&Provisioner::new(Home::from_env()?)?).await?.left_since(&before);
    ensure!(left.is_empty(), "KILLS_SEED={seed}: the host has changed:\n{}", left.join("\n"));
    Ok(())
}

struct Lab<'a> {
    desk: &'a Desk,
    provisioner: Provisioner,
    choices: Choices,
    /// How long each verb takes on this host if it is not killed.
    usual: BTreeMap<Verb, Duration>,
    /// The inventory with only the bystander.
    alone: Inventory,
    hosts: String,
    bystander: String,
}

impl<'a> Lab<'a> {
    async fn of(desk: &'a Desk, choices: Choices) -> anyhow::Result<Self> {
        let home = Home::at(desk.home()).with_kubeconfigs(vec![desk.merged()]);
        let provisioner = Provisioner::new(home)?;
        let alone = Inventory::take(&provisioner).await?;
        let (hosts, bystander) = (std::fs::read_to_string(desk.hosts())?, nodes_of(BYSTANDER).await?);
        ensure!(!bystander.is_empty(), "the bystander has no nodes");
        let mut lab = Self { desk, provisioner, choices, usual: BTreeMap::new(), alone, hosts, bystander };
        for verb in Verb::KILLED {
            let begun = Instant::now();
            lab.type_in(verb).await?;
            lab.usual.insert(verb, begun.elapsed());
            lab.check().await.with_context(|| format!("after {verb:?}, without a kill"))?;
        }
        Ok(lab)
    }

    /// Kills `count` times. Reports all failures at the end, but stops at once if `reap` or `down` cannot clean up.
    async fn run(mut self, count: usize) -> anyhow::Result<()> {
        let mut wrong = Vec::new();
        for number in 1..=count {
            if self.subject()?.is_none() && self.choices.below(3) > 0 {
                self.type_in(Verb::Up).await?;
            }
            if let Err(error) = self.kill(number).await {
                wrong.push(format!("{error:#}"));
                self.desk.homelab(&["reap"]).await.context("after a kill that left something wrong")?;
                if self.subject()?.is_some() {
                    self.type_in(Verb::Down).await.context("after a kill that left something wrong")?;
                }
                self.check().await.with_context(|| wrong.join("\n"))?;
            }
        }
        ensure!(wrong.is_empty(), "{} of {count} kills:\n{}", wrong.len(), wrong.join("\n"));
        Ok(())
    }

    async fn kill(&mut self, number: usize) -> anyhow::Result<()> {
        let subject = self.subject()?;
        // Not too often, because the next kill first needs a bring-up.
        let verb = match subject.is_some() && self.choices.below(5) == 0 {
            true => Verb::Down,
            false => self.choice(Verb::possible(subject.as_ref())),
        };
        let most = usize::try_from(self.usual[&verb].as_micros())?;
        let after = Duration::from_micros(self.choices.below(most).try_into()?);
        let ended = self.desk.killed(verb.words(), after).await?;
        if ended {
            return self
                .check()
                .await
                .with_context(|| format!("kill {number}: {verb:?} ended before the kill"));
        }
        let next = self.choice(verb.next(self.subject()?.as_ref()));
        let kill = Kill { number, verb, after, next };
        tell(&kill.to_string());
        self.type_in(next).await.with_context(|| kill.to_string())?;
        self.check().await.with_context(|| kill.to_string())
    }

    fn choice(&mut self, among: &[Verb]) -> Verb {
        among[self.choices.below(among.len())]
    }

    async fn type_in(&self, verb: Verb) -> anyhow::Result<()> {
        self.desk.homelab(verb.words()).await.map(drop)
    }

    fn subject(&self) -> anyhow::Result<Option<Instance>> {
        Ok(self.provisioner.registry().find(SUBJECT)?)
    }

    /// Fails unless the bystander is unchanged, and the subject is as recorded or has left no trace.
    async fn check(&self) -> anyhow::Result<()> {
        self.provisioner.identify(BYSTANDER).await?;
        let bystander = nodes_of(BYSTANDER).await?;
        ensure!(bystander == self.bystander, "the bystander was {}, and is {bystander}", self.bystander);
        match self.subject()? {
            None => self.is_gone().await,
            Some(subject) => {
                let (operation, transit) = (&subject.operation, &subject.transit);
                ensure!(operation.is_none() && transit.is_empty(), "{operation:?}, {transit:?}");
                match subject.state {
                    State::Running => self.is_whole(&subject).await,
                    State::Halted => self.is_off().await,
                    state => anyhow::bail!("{SUBJECT} is {state}"),
                }
            }
        }
    }

    async fn is_gone(&self) -> anyhow::Result<()> {
        // Children of a killed program may be about to end.
        until("all traces of the subject to be gone", within(20), async || {
            let left = Inventory::take(&self.provisioner).await?.left_since(&self.alone);
            Ok::<_, CommandError>(if left.is_empty() {
                Wait::Done(())
            } else {
                Wait::NotYet(left.join("\n"))
            })
        })
        .await?;
        let hosts = std::fs::read_to_string(self.desk.hosts())?;
        ensure!(hosts == self.hosts, "the hosts file was\n{}\nand is now\n{hosts}", self.hosts);
        Ok(())
    }

    /// The API server answers, is that of the recorded cluster, and has the recorded nodes, all Ready.
    async fn is_whole(&self, subject: &Instance) -> anyhow::Result<()> {
        until("its API server to identify itself", within(60), async || {
            Ok::<_, IdentityError>(match self.provisioner.identify(SUBJECT).await {
                Ok(()) => Wait::Done(()),
                Err(error @ IdentityError::Mismatch { .. }) => return Err(error),
                Err(error) => Wait::NotYet(error.to_string()),
            })
        })
        .await?;
        let workers = subject.workers.numbers().map(|number| format!("{SUBJECT}-w-{number} True"));
        let expected: Vec<String> = std::iter::once(format!("{SUBJECT}-cp-1 True")).chain(workers).collect();
        let ready =
            "{range .items[*]}{.metadata.name} {.status.conditions[?(@.type=='Ready')].status}{'\\n'}{end}";
        let output = format!("jsonpath={ready}");
        let ask = ["kubectl", SUBJECT, "--", "get", "nodes", "--output", output.as_str()];
        until("its nodes to be Ready", within(120), async || {
            let said = self.desk.homelab(&ask).await.unwrap_or_else(|error| format!("{error:#}"));
            let is_so = said.lines().eq(expected.iter().map(String::as_str));
            Ok::<_, CommandError>(if is_so { Wait::Done(()) } else { Wait::NotYet(said) })
        })
        .await?;
        let there = nodes_of(SUBJECT).await?;
        ensure!(there.lines().count() == expected.len(), "the subject's containers are {there}");
        Ok(())
    }

    async fn is_off(&self) -> anyhow::Result<()> {
        let silent = self.provisioner.identify(SUBJECT).await;
        ensure!(
            matches!(silent, Err(IdentityError::Unanswered { .. })),
            "a halted subject's API server answers {silent:?}"
        );
        let there = nodes_of(SUBJECT).await?;
        ensure!(
            there.lines().all(|node| node.ends_with(" true")),
            "the subject is recorded as halted, but has the containers {there}"
        );
        Ok(())
    }
}

/// This number of seconds on a real CPU, longer on an emulated one.
fn within(seconds: u64) -> Stretched {
    Slowdown::of_host().stretch(Duration::from_secs(seconds))
}

/// The containers of an instance, each with its process, its start time and whether it has exited.
async fn nodes_of(instance: &str) -> anyhow::Result<String> {
    let filter = format!("label=homelab.instance={instance}");
    let ask = Command::within(Duration::from_secs(30), "podman")
        .args(["--remote=false", "ps", "--all", "--filter", &filter])
        .args(["--format", "{{.Names}} {{.Pid}} {{.StartedAt}} {{.Exited}}"]);
    Ok(Local.run(&ask).await?.text())
}

/// Prints a line, for the output of the test.
#[expect(clippy::print_stderr, reason = "a reader of a failed test sees only its output")]
fn tell(line: &str) {
    eprintln!("{line}");
}
