//! Instances are paused, halted and started, also after an interrupted operation; a paused or halted instance never
//! counts as running.

use provisioner::StageError;
use provisioner::engine::{EngineError, Fault};
use provisioner::error::Hint;
use provisioner::events::Event;
use provisioner::plan::PlanError;
use provisioner::plan::Power;
use provisioner::registry::{ObservedState, State};
use provisioner::stage::Stage;
use provisioner::{AttachError, PowerError, WorkersError};

use super::{Lab, lab};

impl Lab {
    async fn power(&self, power: Power) -> Result<State, PowerError> {
        let provisioner = &self.provisioner;
        let done = match power {
            Power::Pause => provisioner.pause("acme").await,
            Power::Resume => provisioner.resume("acme").await,
            Power::Halt => provisioner.halt("acme").await,
            Power::Start => provisioner.start("acme").await,
        };
        done.map(|instance| instance.state)
    }

    fn state(&self) -> State {
        self.provisioner.registry().find("acme").unwrap().unwrap().state
    }
}

#[tokio::test]
async fn an_instance_pauses_resumes_halts_and_starts_and_each_verb_may_be_repeated() {
    let lab = lab();
    lab.up("acme").await.unwrap();
    let mut events = lab.provisioner.events().subscribe();
    for (rest, wake, state) in
        [(Power::Pause, Power::Resume, State::Paused), (Power::Halt, Power::Start, State::Halted)]
    {
        for _ in 0..2 {
            assert_eq!(lab.power(rest).await.unwrap(), state);
            assert_eq!(lab.state(), state);
            let attached = lab.provisioner.attach("acme").await;
            assert!(matches!(attached, Err(AttachError::Engine(EngineError::Absent { .. }))), "{attached:?}");
        }
        for _ in 0..2 {
            assert_eq!(lab.power(wake).await.unwrap(), State::Running);
            assert_eq!(lab.provisioner.attach("acme").await.unwrap().nodes.len(), 3);
        }
    }
    let mut told = Vec::new();
    while let Ok(event) = events.try_recv() {
        match event {
            Event::InstancePaused { .. } => told.push("paused"),
            Event::InstanceResumed { .. } => told.push("resumed"),
            Event::InstanceHalted { .. } => told.push("halted"),
            Event::InstanceStarted { .. } => told.push("started"),
            _ => {}
        }
    }
    assert_eq!(told, ["paused", "paused", "resumed", "resumed", "halted", "halted", "started", "started"]);
}

#[tokio::test]
async fn a_paused_instance_cannot_be_halted_and_a_halted_one_cannot_be_paused_or_resumed() {
    let lab = lab();
    lab.up("acme").await.unwrap();
    let mut said = Vec::new();
    for (rest, wake, others) in [
        (Power::Pause, Power::Resume, vec![Power::Halt]),
        (Power::Halt, Power::Start, vec![Power::Pause, Power::Resume]),
    ] {
        lab.power(rest).await.unwrap();
        for other in others {
            let refused = lab.power(other).await.unwrap_err();
            said.push(format!("{other}: {refused}; {}", refused.hint().unwrap()));
        }
        lab.power(wake).await.unwrap();
    }
    insta::assert_snapshot!(said.join("\n"), @r"
    halt: instance 'acme' is paused, not running; `sudo homelab resume acme` makes it run again
    pause: instance 'acme' is halted, not running; `sudo homelab start acme` starts it
    resume: instance 'acme' is halted, not running; `sudo homelab start acme` starts it
    ");
}

#[tokio::test]
async fn a_paused_instance_can_be_started_too() {
    let lab = lab();
    lab.up("acme").await.unwrap();
    lab.power(Power::Pause).await.unwrap();
    assert_eq!(lab.power(Power::Start).await.unwrap(), State::Running);
    assert_eq!(lab.provisioner.attach("acme").await.unwrap().nodes.len(), 3);
}

#[tokio::test]
async fn a_paused_or_halted_instance_gets_no_workers_and_can_be_destroyed() {
    let lab = lab();
    for power in [Power::Pause, Power::Halt] {
        lab.up("acme").await.unwrap();
        lab.power(power).await.unwrap();
        let refused = lab.provisioner.add_workers("acme", 1).await.unwrap_err();
        let not_running =
            |error: &WorkersError| matches!(error, WorkersError::Plan(PlanError::NotRunning { .. }));
        assert!(not_running(&refused), "{refused:?}");
        lab.provisioner.destroy("acme").await.unwrap();
        lab.assert_empty().await;
    }
}

#[tokio::test]
async fn an_unknown_instance_and_a_failed_one_are_refused_with_the_reason() {
    let lab = lab();
    let unknown = lab.power(Power::Pause).await.unwrap_err();
    insta::assert_snapshot!(unknown, @"no instance 'acme'; there are none");
    let _ = lab.engine.clone().with_fault(Fault::Command("kubeadm init".to_owned()));
    lab.up("acme").await.unwrap_err();
    for power in [Power::Pause, Power::Resume, Power::Halt, Power::Start] {
        let refused = lab.power(power).await.unwrap_err();
        assert_eq!(refused.to_string(), "instance 'acme' is failed, not running");
        assert_eq!(lab.state(), State::Failed);
    }
}

#[tokio::test]
async fn a_node_that_is_gone_is_named_and_the_instance_is_recorded_as_halted() {
    let lab = lab();
    let cluster = lab.up("acme").await.unwrap();
    provisioner::engine::Engine::destroy_node(&lab.engine, &cluster.plan, &cluster.plan.nodes[1])
        .await
        .unwrap();
    let absent = lab.power(Power::Halt).await.unwrap_err();
    insta::assert_snapshot!(format!("{absent}\nhint: {}", absent.hint().unwrap()), @r"
    halt acme: its node acme-w-1 is gone
    hint: `sudo homelab status acme` shows what is left; the node's data is lost, and `sudo homelab down acme` removes the rest
    ");
    assert_eq!(lab.state(), State::Halted, "some of its nodes may be off");
    lab.provisioner.destroy("acme").await.unwrap();
    lab.assert_empty().await;
}

#[tokio::test]
async fn an_instance_whose_api_server_does_not_answer_stays_halted_and_start_may_be_repeated() {
    let lab = lab();
    lab.up("acme").await.unwrap();
    lab.power(Power::Halt).await.unwrap();
    let _ = lab.engine.clone().with_fault(Fault::Command("/readyz".to_owned()));
    let silent = lab.power(Power::Start).await.unwrap_err();
    let at = |error: &PowerError| {
        matches!(error, PowerError::Stage { stage: Stage::Ready, source: StageError::Kubeadm(_), .. })
    };
    assert!(at(&silent), "{silent:?}");
    assert_eq!(
        silent.hint().unwrap(),
        "`sudo homelab start acme` may be repeated; `sudo homelab status acme` shows the nodes"
    );
    assert_eq!(lab.state(), State::Halted);
    lab.engine.heal();
    assert_eq!(lab.power(Power::Start).await.unwrap(), State::Running);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_does_not_boot_fails_the_start_and_the_instance_stays_halted() {
    let lab = lab();
    lab.up("acme").await.unwrap();
    lab.power(Power::Halt).await.unwrap();
    let _ = lab.engine.clone().with_fault(Fault::Command("true".to_owned()));
    let dead = lab.power(Power::Start).await.unwrap_err();
    let unusable =
        matches!(&dead, PowerError::Stage { source: StageError::Engine(EngineError::Unusable { .. }), .. });
    assert!(unusable, "{dead:?}");
    assert_eq!(lab.state(), State::Halted);
}

#[test]
fn the_hint_on_resuming_an_instance_that_is_off_is_to_start_it() {
    let off = EngineError::Absent { node: "acme-main".to_owned() };
    let (instance, stage) = ("acme".to_owned(), Stage::Ready);
    let error = PowerError::Stage { power: Power::Resume, instance, stage, source: off.into() };
    assert_eq!(error.hint().unwrap(), "it is off, as after a reboot of the host: `sudo homelab start acme`");
}

#[tokio::test]
async fn nodes_that_start_again_get_the_routes_to_each_others_pods() {
    let lab = lab();
    lab.up("acme").await.unwrap();
    lab.power(Power::Halt).await.unwrap();
    let before = lab.engine.commands().len();
    lab.power(Power::Start).await.unwrap();
    let ran = lab.engine.commands().split_off(before);
    for node in ["acme-cp-1", "acme-w-1", "acme-w-2"] {
        assert!(ran.contains(&(node.to_owned(), "ip -batch -".to_owned())), "{ran:?}");
    }
}

#[tokio::test]
async fn expired_certificates_are_renewed_when_an_instance_starts() {
    let lab = lab();
    lab.up("acme").await.unwrap();
    lab.power(Power::Halt).await.unwrap();
    let began = "2014-01-02T03:04:05Z".parse().unwrap();
    let ended = provisioner::tls::Authority::make("apiserver", "acme.lab", began).unwrap().certificate;
    let _ = lab.engine.clone().answering("pki/etcd", format!("# pki/apiserver.crt\n{ended}"));
    let before = lab.engine.commands().len();
    let mut events = lab.provisioner.events().subscribe();
    assert_eq!(lab.power(Power::Start).await.unwrap(), State::Running);
    let commands = lab.engine.commands();
    let ran = |text: &str| {
        let all = commands[before..].iter().filter(|(_, command)| command.contains(text));
        all.map(|(node, _)| node.as_str()).collect::<Vec<_>>()
    };
    assert_eq!(ran("kubeadm certs renew all"), ["acme-cp-1"]);
    let mut kubelets = ran("restart kubelet");
    kubelets.sort_unstable();
    assert_eq!(kubelets, ["acme-cp-1", "acme-w-1", "acme-w-2"]);
    let told = std::iter::from_fn(|| events.try_recv().ok());
    assert!(told.into_iter().any(|event| matches!(event, Event::CertificatesRenewed { .. })));

    let _ = lab.engine.clone().answering("pki/etcd", "");
    let before = lab.engine.commands().len();
    lab.power(Power::Start).await.unwrap();
    let again = lab.engine.commands();
    assert!(
        again[before..].iter().all(|(_, command)| !command.contains("renew")),
        "new certificates were renewed again"
    );
}

#[tokio::test]
async fn the_boot_in_which_nodes_were_last_started_is_recorded() {
    let lab = lab();
    lab.up("acme").await.unwrap();
    let registry = lab.provisioner.registry();
    let recorded = || registry.find("acme").unwrap().unwrap();
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    assert_eq!(recorded().boot_id.as_deref(), Some(boot.trim()));
    assert_eq!(recorded().standing(&lab.house.home), ObservedState::AsRecorded);
    // As after a reboot: the instance is recorded as running, but its nodes are off.
    registry.update("acme", |instance| instance.boot_id = Some("another".to_owned())).unwrap();
    assert_eq!(
        (recorded().state, recorded().standing(&lab.house.home)),
        (State::Running, ObservedState::Off)
    );
    assert_eq!(lab.power(Power::Start).await.unwrap(), State::Running);
    assert_eq!(recorded().standing(&lab.house.home), ObservedState::AsRecorded);
}
