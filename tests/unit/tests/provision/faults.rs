//! The fault sweep: an error says what is left for each step that fails, and `destroy` removes everything.

use rstest::rstest;

use provisioner::engine::MissingRequirement;
use provisioner::error::Hint;
use provisioner::registry::RegistryError;

use super::*;

#[rstest]
#[case::before_any_node(Fault::Create { after: 0 }, Stage::Nodes)]
#[case::after_one_node(Fault::Create { after: 1 }, Stage::Nodes)]
#[case::after_all_nodes(Fault::Create { after: 3 }, Stage::Nodes)]
#[case::pod_network(Fault::Command("ip -batch".to_owned()), Stage::Network)]
#[case::control_plane(Fault::Command("--skip-phases preflight,control-plane".to_owned()), Stage::Init)]
#[case::unready_api_server(Fault::Hang("/readyz".to_owned()), Stage::Init)]
#[case::controllers(Fault::Command("control-plane/apiserver,kubelet-start".to_owned()), Stage::Init)]
#[case::corefile(Fault::Command("create --validate=false".to_owned()), Stage::Init)]
#[case::addons(Fault::Command("wait-control-plane,upload-certs".to_owned()), Stage::Init)]
#[case::join(Fault::Command("kubeadm join".to_owned()), Stage::Join)]
#[case::hanging_join(Fault::Hang("kubeadm join".to_owned()), Stage::Join)]
#[case::nodes_never_ready(Fault::Hang("condition=Ready".to_owned()), Stage::Ready)]
#[case::dns_never_ready(Fault::Command("rollout status".to_owned()), Stage::Ready)]
#[case::dns_not_found(Fault::Hang("service-ips".to_owned()), Stage::Ready)]
#[case::no_credentials(Fault::Command("cat /etc/kubernetes/admin.conf".to_owned()), Stage::Kubeconfig)]
#[tokio::test(start_paused = true)]
async fn a_fault_is_recorded_and_destroy_leaves_nothing(#[case] fault: Fault, #[case] stage: Stage) {
    let lab = lab();
    let engine = lab.engine.clone().with_fault(fault);
    let error = lab.up("acme").await.unwrap_err();
    assert_eq!((error.stage, error.residue), (stage, Residue::Recorded), "{error:?}");
    assert_eq!(error.hint().as_deref(), Some("`sudo homelab down acme` removes what was made"));
    let entry = lab.provisioner.registry().find("acme").unwrap().unwrap();
    assert_eq!(entry.state, State::Failed);
    assert_eq!(lab.house.merged(), FOREIGN, "a cluster that did not come up has a context");
    assert_ne!(lab.provisioner.destroy("acme").await.unwrap(), []);
    lab.assert_empty().await;
    engine.heal();
    lab.up("acme").await.unwrap();
}

#[rstest]
#[case::no_virtual_address(Fault::Hang("ip -oneline address show".to_owned()), Stage::Init, "the virtual address on acme-cp-1")]
#[case::hanging_join(Fault::Hang("kubeadm join".to_owned()), Stage::Join, "`kubeadm join` on acme-cp-2")]
#[case::no_service(Fault::Command("sv restart keepalived".to_owned()), Stage::Init, "restart keepalived on acme-cp-1")]
#[tokio::test(start_paused = true)]
async fn a_control_plane_that_does_not_come_up_is_named_and_destroy_leaves_nothing(
    #[case] fault: Fault,
    #[case] stage: Stage,
    #[case] told: &str,
) {
    let lab = lab();
    let _faulty = lab.engine.clone().with_fault(fault);
    let error = lab.provisioner.create(&highly_available("acme"), Keeper::Operator).await.unwrap_err();
    assert_eq!((error.stage, error.residue), (stage, Residue::Recorded), "{error:?}");
    let chain = provisioner::error::chain(&error);
    assert!(chain.contains(told), "{chain}");
    assert_ne!(lab.provisioner.destroy("acme").await.unwrap(), []);
    lab.assert_empty().await;
}

#[tokio::test]
async fn a_missing_requirement_is_reported_before_anything_is_done() {
    let lab = lab();
    let lack = MissingRequirement { what: "podman".to_owned(), remedy: "apt-get install podman".to_owned() };
    let _faulty = lab.engine.clone().with_fault(Fault::Preflight(lack));
    let error = lab.up("acme").await.unwrap_err();
    assert_eq!((error.stage, error.residue), (Stage::Claim, Residue::Nothing));
    assert_eq!(error.source.to_string(), "missing requirements: podman: apt-get install podman");
    lab.assert_empty().await;
}

#[rstest]
#[case::of_kubernetes("pki")]
#[case::of_the_instance("tls")]
#[tokio::test]
async fn authorities_that_cannot_be_written_fail_the_stage_authorities(#[case] name: &str) {
    let lab = lab();
    let folder = lab.house.home.instance("acme");
    lab.house.home.create_dir(&folder).unwrap();
    std::fs::write(folder.join(name), "a file where a folder should be").unwrap();
    let error = lab.up("acme").await.unwrap_err();
    assert_eq!((error.stage, error.residue), (Stage::Authorities, Residue::Recorded), "{error:?}");
    assert_ne!(lab.provisioner.destroy("acme").await.unwrap(), []);
    lab.assert_empty().await;
}

#[tokio::test]
async fn a_foreign_context_of_that_name_is_refused_before_the_claim_and_left_alone() {
    let lab = lab();
    let theirs = "contexts:\n- name: acme\n  context: {cluster: other}\n";
    lab.house.kubeconfig(theirs);
    let error = lab.up("acme").await.unwrap_err();
    assert_eq!((error.stage, error.residue), (Stage::Claim, Residue::Nothing), "{error:?}");
    assert_eq!(lab.provisioner.destroy("acme").await.unwrap(), []);
    assert_eq!(lab.house.merged(), theirs);
    assert_eq!(lab.provisioner.registry().list().unwrap(), []);
    assert_eq!(lab.engine.sightings().await.unwrap(), []);
}

#[tokio::test]
async fn a_damaged_registry_stops_everything_and_destroys_nothing() {
    let lab = lab();
    lab.up("acme").await.unwrap();
    std::fs::write(lab.house.home.registry(), "{").unwrap();
    let error = lab.up("globex").await.unwrap_err();
    assert_eq!((error.stage, error.residue), (Stage::Claim, Residue::Nothing));
    assert!(error.hint().unwrap().starts_with("restore "), "{:?}", error.hint());
    lab.provisioner.destroy("acme").await.unwrap_err();
    lab.provisioner.reap().await.unwrap_err();
    assert!(matches!(lab.provisioner.registry().list(), Err(RegistryError::Damaged { .. })));
    assert_eq!(lab.engine.sightings().await.unwrap().len(), 3);
}
