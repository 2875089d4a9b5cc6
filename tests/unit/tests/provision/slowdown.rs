//! Time-outs for hanging commands: the plain ones in a container, stretched once on an emulated processor.

use provisioner::plan::ClusterPlan;
use provisioner::registry::Instance;
use provisioner::request::Provider;
use provisioner::slowdown::Slowdown;
use rstest::rstest;
use tokio::time::{Duration, Instant};

use super::*;

const CONTAINERS: EngineKind = EngineKind::Simulated;
const VMS: EngineKind = EngineKind::Vagrant(Provider::Libvirt);

/// A lab with an engine of this kind, whose nodes have an emulated processor or not.
fn lab_of(kind: EngineKind, is_emulated: bool) -> Lab {
    let Lab { house, engine, provisioner } = lab();
    let engine = if is_emulated { engine.emulated() } else { engine };
    let provisioner = provisioner.with_engine_of(kind, Arc::new(engine.clone()));
    Lab { house, engine, provisioner }
}

async fn up(lab: &Lab, kind: EngineKind) -> Result<provisioner::Cluster, ProvisionError> {
    let spec = ClusterSpec::new("acme").workers(1).engine(kind).check().unwrap();
    lab.provisioner.clone().forced().create(&spec, Keeper::Operator).await
}

#[rstest]
#[case::containers(CONTAINERS, false, 1)]
#[case::containers_on_an_emulated_host(CONTAINERS, true, 10)]
#[case::vms_with_kvm(VMS, false, 2)]
#[case::vms_without_kvm(VMS, true, 10)]
#[tokio::test(start_paused = true)]
async fn a_bring_up_waits_for_a_step_that_hangs_as_long_as_the_engine_may_take_and_no_longer(
    #[case] kind: EngineKind,
    #[case] is_emulated: bool,
    #[case] times: u64,
    #[values(("/readyz", 180), ("kubeadm join", 180), ("--for create", 65), ("condition=Ready", 185))] hang: (
        &str,
        u64,
    ),
) {
    let lab = lab_of(kind, is_emulated);
    let (text, usual) = hang;
    let _faulty = lab.engine.clone().with_fault(Fault::Hang(text.to_owned()));
    let begun = Instant::now();
    up(&lab, kind).await.unwrap_err();
    assert_eq!(begun.elapsed().as_secs(), times * usual);
}

#[tokio::test(start_paused = true)]
async fn the_chosen_time_out_of_a_drain_is_the_same_on_an_emulated_processor() {
    let lab = lab_of(CONTAINERS, true);
    up(&lab, CONTAINERS).await.unwrap();
    let _faulty = lab.engine.clone().with_fault(Fault::Hang("drain".to_owned()));
    let begun = Instant::now();
    let drain = provisioner::Drain::Within(Duration::from_secs(300));
    lab.provisioner.remove_worker("acme", "acme-w-1", drain).await.unwrap_err();
    assert_eq!(begun.elapsed().as_secs(), 300 + 30);
    let asked = crate::provision::shown(&lab.engine);
    assert!(asked.iter().any(|command| command.contains("--timeout 300s")), "{asked:?}");
}

#[tokio::test]
async fn the_emulation_found_at_the_claim_also_counts_for_a_process_that_finds_none() {
    let lab = lab_of(VMS, true);
    up(&lab, VMS).await.unwrap();
    let later = Arc::new(SimulatedEngine::new(lab.house.home.id()));
    let later = lab.provisioner.clone().with_engine_of(VMS, later);
    let instance = later.registry().find("acme").unwrap().unwrap();
    assert_eq!(instance.emulated, Some(true));
    assert_eq!(ClusterPlan::of(&instance, &lab.house.home).platform.slowdown, Slowdown::EMULATED);
}

#[rstest]
#[case::containers(CONTAINERS, Slowdown::NONE)]
#[case::vms(VMS, Slowdown::EMULATED)]
fn entries_of_earlier_versions_load_and_their_vms_count_as_emulated(
    #[case] engine: EngineKind,
    #[case] expected: Slowdown,
) {
    let house = House::new();
    let instance = Instance { engine, ..crate::given::instance("acme", &[]) };
    let mut entry = serde_json::to_value(&instance).unwrap();
    entry.as_object_mut().unwrap().remove("emulated");
    let loaded: Instance = serde_json::from_value(entry).unwrap();
    assert_eq!(loaded.emulated, None);
    assert_eq!(ClusterPlan::of(&loaded, &house.home).platform.slowdown, expected);
}
