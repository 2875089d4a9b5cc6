use std::collections::BTreeSet;

use probe::Ask;
use proptest::prelude::*;
use provisioner::request::EngineKind;

use super::*;
use crate::audit::class::Injection;
use crate::audit::sample;
use crate::audit::verdict::{AuditOutcome, Verdict};

/// Workers, whether the pod network passes every protocol, the kind of cluster, whether a stranger is on its link.
type One = (u8, bool, fn(&str, u8, u8) -> Subject, bool);

fn instances() -> impl Strategy<Value = Vec<Subject>> {
    let names = ["acme", "globex", "initech", "umbrella"];
    let makes: [fn(&str, u8, u8) -> Subject; 3] = [sample::subject, sample::in_vms, sample::attached];
    let one = (0_u8..3, any::<bool>(), proptest::sample::select(makes.to_vec()), any::<bool>());
    proptest::collection::vec(one, 1..=names.len()).prop_map(move |wanted| {
        let subject = |(i, one): (usize, One)| {
            let (workers, passes_every_protocol, make, has_stranger) = one;
            let mut subject = Subject {
                passes_every_protocol,
                ..make(names[i], 60 + u8::try_from(i).expect("small"), workers)
            };
            if has_stranger {
                sample::add_stranger(&mut subject);
            }
            subject
        };
        wanted.into_iter().enumerate().map(subject).collect()
    })
}

fn selection() -> impl Strategy<Value = Selection> {
    let classes: Vec<String> = Class::all().map(|class| class.id.to_string()).collect();
    let names = || vec!["acme".to_owned()];
    let one = |of: Vec<String>| proptest::sample::subsequence(of.clone(), 0..=of.len().min(3));
    (one(classes), one(names()), one(vec!["acme".to_owned(), HOST.to_owned()]))
        .prop_map(|(classes, from, to)| Selection { classes, from, to, exhaustive: false })
}

fn all(plan: &Plan) -> Vec<&Probe> {
    plan.batches.values().flat_map(|batch| &batch.probes).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn every_cell_has_its_controls_under_every_selection(subjects in instances(), selection in selection()) {
        let Ok(plan) = Plan::new(7, subjects, sample::host(), &selection) else { return Ok(()) };
        let known: BTreeSet<&Nonce> = all(&plan).iter().map(|probe| &probe.nonce).collect();
        for cell in &plan.cells {
            match &cell.way {
                CellMethod::Probes { cross, control, own, .. } => {
                    prop_assert!(!cross.is_empty() && !control.is_empty(), "{cell:?}");
                    prop_assert!(own.as_ref().is_none_or(|own| !own.is_empty()), "{cell:?}");
                    let nonces = cross.iter().chain(control).chain(own.iter().flatten());
                    prop_assert!(nonces.clone().all(|nonce| known.contains(nonce)));
                    prop_assert!(cross.iter().all(|nonce| !control.contains(nonce)));
                    // One prober sends the probes and their control.
                    let batch = &plan.batches[&cell.viewpoint].probes;
                    let own_batch = |nonce: &Nonce| batch.iter().any(|probe| probe.nonce == *nonce);
                    prop_assert!(cross.iter().chain(control).all(own_batch));
                }
                CellMethod::Look { here, there, .. } => {
                    prop_assert!(known.contains(here) && !there.is_empty() && !there.contains(here));
                }
                CellMethod::Listen | CellMethod::Fact(_) | CellMethod::Judged(_) => {}
            }
        }
    }

    #[test]
    fn no_nonce_is_used_twice_and_every_viewpoint_can_send_its_probes(subjects in instances()) {
        let Ok(plan) = Plan::new(7, subjects, sample::host(), &Selection::default()) else { return Ok(()) };
        let barriers = plan.openers.iter().chain(&plan.barriers).map(|barrier| &barrier.probe.nonce);
        let nonces: Vec<&Nonce> = all(&plan).iter().map(|probe| &probe.nonce).chain(barriers).collect();
        prop_assert_eq!(nonces.iter().collect::<BTreeSet<_>>().len(), nonces.len());
        for (viewpoint, batch) in &plan.batches {
            prop_assert!(batch.probes.iter().all(|probe| viewpoint.can(&probe.ask)), "{}", viewpoint);
        }
    }

    #[test]
    fn both_directions_have_the_same_classes(subjects in instances()) {
        let names: Vec<String> = subjects.iter().map(|subject| subject.name.clone()).collect();
        let plan = Plan::new(7, subjects, sample::host(), &Selection::default()).expect("a plan");
        let classes = |source: &str, target: &str| -> BTreeSet<ClassId> {
            let cells = plan.cells.iter().filter(|cell| cell.source == source && cell.target.name() == target);
            cells.map(|cell| cell.class).collect()
        };
        let asked = Class::all().filter(|class| class.on_request.is_none());
        let every: BTreeSet<ClassId> = asked.map(|class| class.id).collect();
        for a in &names {
            for b in names.iter().filter(|b| *b != a) {
                let asked: BTreeSet<_> = classes(a, b).union(&classes(a, HOST)).copied().collect();
                prop_assert_eq!(&asked, &every, "{} → {}", a, b);
            }
        }
    }

    #[test]
    fn a_missing_answer_makes_every_cell_that_uses_it_inconclusive(lost in 0_usize..4000, subjects in instances()) {
        let Ok(plan) = Plan::new(7, subjects, sample::host(), &Selection::default()) else { return Ok(()) };
        let mut observed = sample::quiet(&plan);
        let probes = all(&plan);
        let Some(probe) = probes.get(lost % probes.len().max(1)) else { return Ok(()) };
        observed.answers.remove(&probe.nonce);
        for watch in observed.watches.values_mut() {
            watch.arrivals.retain(|arrival| arrival.nonce != probe.nonce);
        }
        let run = crate::audit::judge::Run::new(&plan, &observed);
        for cell in &plan.cells {
            let uses = match &cell.way {
                CellMethod::Probes { cross, control, own, .. } => {
                    cross.iter().chain(control).chain(own.iter().flatten()).any(|nonce| *nonce == probe.nonce)
                }
                CellMethod::Look { here, there, .. } => *here == probe.nonce || there.contains(&probe.nonce),
                CellMethod::Listen | CellMethod::Fact(_) | CellMethod::Judged(_) => false,
            };
            let verdict = run.judge(cell).0.verdict;
            prop_assert!(!uses || verdict == Verdict::Inconclusive, "{:?} {cell:?}", verdict);
        }
    }
}

#[test]
fn selections_without_a_cell_and_unknown_names_are_errors() {
    let of = |names: &[&str], selection: Selection| {
        let subjects = names.iter().zip(60..).map(|(name, third)| sample::subject(name, third, 0)).collect();
        Plan::new(1, subjects, sample::host(), &selection).map(|_| ()).map_err(|error| error.to_string())
    };
    let only = |class: &str| Selection { classes: vec![class.to_owned()], ..Selection::default() };
    let from = |name: &str| Selection { from: vec![name.to_owned()], ..Selection::default() };
    let errors = [
        of(&[], Selection::default()),
        of(&["acme"], only("N3")),
        of(&["acme", "globex"], only("T2")),
        of(&["acme", "acme"], Selection::default()),
        of(&["acme", "globex"], from("initech")),
        of(&["acme", "globex"], only("X1")),
    ];
    let errors = errors.map(|error| error.expect_err("no cell can be tested"));
    insta::assert_snapshot!(errors.join("\n"));
}

#[test]
fn the_plan_for_two_instances_in_containers_is_as_recorded() {
    insta::assert_snapshot!(planned(sample::two(), &Selection::default()));
}

#[test]
fn the_plan_for_two_instances_in_vms_differs_in_these_classes() {
    let otherwise = ["L5", "L7", "N2", "H4", "H8", "H9", "H10", "H11", "H12", "H13", "C8", "C9"];
    let classes = otherwise.map(str::to_owned).to_vec();
    let selection = Selection { classes, ..Selection::default() };
    insta::assert_snapshot!(planned(sample::two_in_vms(), &selection));
}

#[test]
fn probes_between_vms_are_not_sent_between_a_vm_and_a_container() {
    let two = vec![sample::in_vms("acme", 60, 1), sample::subject("globex", 61, 1)];
    let classes = ["N1", "H13", "H4"].map(str::to_owned).to_vec();
    insta::assert_snapshot!(planned(two, &Selection { classes, ..Selection::default() }));
}

#[test]
fn an_audit_of_sixteen_clusters_with_four_nodes_each_sends_a_bounded_number_of_packets_and_says_what_it_leaves_out()
 {
    let subjects: Vec<Subject> = (0..16).map(|i| sample::subject(&format!("i{i}"), 40 + i, 3)).collect();
    let of = |exhaustive| {
        let selection = Selection { exhaustive, ..Selection::default() };
        Plan::new(1, subjects.clone(), sample::host(), &selection).expect("a plan")
    };
    let bounded = of(false);
    assert!(bounded.packets() < 33_000_000, "{}", bounded.packets());
    assert!(bounded.time_limit() < Duration::from_secs(600), "{:?}", bounded.time_limit());
    let told = bounded.not_asked.iter().find(|it| it.what.starts_with("every port")).expect("it is said");
    assert!(told.what.ends_with("of 240 directions"), "{}", told.what);
    let exhaustive = of(true);
    assert!(exhaustive.packets() > 100_000_000, "{}", exhaustive.packets());
    assert!(exhaustive.not_asked.iter().all(|it| !it.what.starts_with("every port")));
    let asked = |plan: &Plan| {
        let of = |cell: &Cell| (cell.class, cell.source.clone(), cell.target.clone());
        plan.cells.iter().map(of).collect::<BTreeSet<_>>()
    };
    assert_eq!(asked(&bounded), asked(&exhaustive), "every class is asked in every direction");
}

/// The cells with acme as their source, a line each.
fn planned(subjects: Vec<Subject>, selection: &Selection) -> String {
    let plan = Plan::new(1, subjects, sample::host(), selection).expect("a plan");
    let lines = plan.cells.iter().filter(|cell| cell.source == "acme").map(|cell| {
        let how = match &cell.way {
            CellMethod::Probes { proof, cross, control, own } => {
                let own = own.as_ref().map_or(0, Vec::len);
                format!("{proof:?} {}/{}/{own}", cross.len(), control.len())
            }
            CellMethod::Look { there, .. } => format!("1/{}", there.len()),
            CellMethod::Listen => "Listen".to_owned(),
            CellMethod::Fact(fact) => format!("{fact:?}"),
            CellMethod::Judged(judgement) => judgement.verdict.name().to_lowercase(),
        };
        format!("{:<4}{} → {}, {}: {how}", cell.class, cell.viewpoint, cell.target, cell.protocol)
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn every_class_has_a_place_in_the_lists_and_its_own_injection() {
    let ids: Vec<ClassId> = Class::all().map(|class| class.id).collect();
    assert_eq!(ids.len(), ids.iter().collect::<BTreeSet<_>>().len());
    let injections: Vec<Injection> = Class::all().filter_map(|class| class.injection).collect();
    assert_eq!(injections.len(), injections.iter().collect::<BTreeSet<_>>().len());
    for class in Class::all() {
        let opens = |engine: &EngineKind| class.injection.is_some_and(|it| it.lacks(*engine).is_none());
        let proven = EngineKind::ALL.iter().any(opens);
        assert!(
            proven || class.on_request.is_some(),
            "{}: no self-test proves that it is detected",
            class.id
        );
    }
    assert_eq!(
        ids.iter().map(ToString::to_string).filter(|id| id.parse() != Ok(ids[0])).count(),
        ids.len() - 1
    );
}

#[test]
fn other_ip_protocols_are_sent_only_to_addresses_that_receive_them() {
    let asked = |workers, passes_every_protocol| {
        let subjects = [("acme", 60), ("globex", 61)]
            .map(|(name, third)| Subject { passes_every_protocol, ..sample::subject(name, third, workers) });
        let selection = Selection { classes: vec!["N7".to_owned()], ..Selection::default() };
        let plan = Plan::new(1, subjects.to_vec(), sample::host(), &selection).expect("a plan");
        let to = |probe: &&Probe| match &probe.ask {
            Ask::Raw { to, .. } => Some(to.to_string()),
            _ => None,
        };
        let acme =
            |place: &&Viewpoint| matches!(place, Viewpoint::Node { instance, .. } if instance == "acme");
        let batches = plan.batches.iter().filter(|(place, _)| acme(place));
        batches
            .flat_map(|(_, batch)| batch.probes.iter().filter_map(|probe| to(&probe)))
            .collect::<BTreeSet<_>>()
    };
    let set = |all: &[&str]| all.iter().map(|one| (*one).to_owned()).collect::<BTreeSet<_>>();
    let nodes = ["192.168.60.10", "192.168.60.21", "192.168.61.10", "192.168.61.21"];
    assert_eq!(asked(1, false), set(&nodes), "its pods take no such packet");
    assert_eq!(asked(1, true), set(&[&nodes[..], &["10.244.1.5", "10.245.1.5"]].concat()));
    let alone = ["192.168.60.1", "192.168.61.10"];
    assert_eq!(asked(0, false), set(&alone), "the control is the host's end of the link");
}

#[test]
fn from_one_viewpoint_every_tcp_and_udp_port_of_every_node_is_asked() {
    let classes = ["N11", "N15"].map(str::to_owned).to_vec();
    let selection = Selection { classes, ..Selection::default() };
    let plan = Plan::new(1, sample::two(), sample::host(), &selection).expect("a plan");
    let asked = |wanted: &str, from: &str, address: &str| {
        let cells = plan.cells.iter().filter(|cell| cell.source == from && cell.protocol == wanted);
        let nonces: BTreeSet<&Nonce> = cells
            .flat_map(|cell| match &cell.way {
                CellMethod::Probes { cross, .. } => cross.clone(),
                other => panic!("{other:?}"),
            })
            .map(|nonce| {
                all(&plan).into_iter().map(|probe| &probe.nonce).find(|other| **other == nonce).unwrap()
            })
            .collect();
        let ports = all(&plan).into_iter().filter(|probe| nonces.contains(&probe.nonce)).map(|probe| {
            match &probe.ask {
                Ask::Syn { to, ports, .. } | Ask::Datagrams { to, ports, .. }
                    if to.to_string() == address =>
                {
                    ports.iter().flat_map(|&(first, last)| first..=last).collect::<BTreeSet<u16>>().len()
                }
                _ => 0,
            }
        });
        ports.max()
    };
    for protocol in ["tcp", "udp"] {
        assert_eq!(asked(protocol, "acme", "192.168.61.10"), Some(65_535), "{protocol}");
        assert_eq!(asked(protocol, "globex", "192.168.60.10"), Some(65_535), "{protocol}");
        assert_eq!(asked(protocol, "globex", "192.168.60.21"), Some(65_535), "{protocol}");
    }
}

#[test]
fn a_run_is_isolated_only_if_each_cell_is_isolated_or_accepted_as_not_covered() {
    use Verdict::{Inconclusive, Isolated, Leak, NotCovered};
    let of = |cells: &[(Verdict, bool)]| AuditOutcome::of(cells.iter().copied());
    assert_eq!(of(&[]), AuditOutcome::Inconclusive);
    assert_eq!(of(&[(Isolated, false), (NotCovered, true)]), AuditOutcome::Isolated);
    assert_eq!(of(&[(NotCovered, false), (Isolated, false)]), AuditOutcome::Inconclusive);
    assert_eq!(of(&[(Inconclusive, true), (Isolated, false)]), AuditOutcome::Inconclusive);
    assert_eq!(of(&[(Inconclusive, false), (Leak, true), (Isolated, false)]), AuditOutcome::Leak);
}

#[test]
fn credentials_have_their_controls_between_an_instance_and_an_attached_cluster() {
    let subjects = vec![sample::subject("acme", 60, 1), sample::attached("prod", 61, 1)];
    let classes = ["C2", "C3", "C4"].map(str::to_owned).to_vec();
    let selection = Selection { classes, ..Selection::default() };
    let plan = Plan::new(7, subjects, sample::host(), &selection).unwrap();
    let asked = |from: &str| {
        let cells = plan.cells.iter().filter(|cell| cell.source == from && cell.target.name() != HOST);
        cells.map(|cell| (matches!(cell.way, CellMethod::Probes { .. }), cell)).collect::<Vec<_>>()
    };
    for from in ["acme", "prod"] {
        assert!(!asked(from).is_empty());
        assert!(asked(from).iter().all(|(is_asked, _)| *is_asked), "{:?}", asked(from));
    }
}
