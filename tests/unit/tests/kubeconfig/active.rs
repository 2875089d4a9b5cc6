//! The active instance, for kubectl and for a shell prompt.

use super::*;

#[test]
fn using_a_context_switches_kubectl_and_records_the_active_instance() {
    let house = House::new();
    house.kubeconfig(FOREIGN);
    for name in ["acme", "globex"] {
        kubeconfig::merge(&house.home, &isolated(name, &house.home)).unwrap();
    }
    let contexts = kubeconfig::use_context(&house.home, "acme").unwrap();
    assert_eq!(contexts, ["work", "acme", "globex"]);
    assert!(house.merged().contains("\ncurrent-context: acme\n"));
    let active = || std::fs::read_to_string(house.home.active_context()).ok();
    assert_eq!(active().as_deref(), Some("acme"));
    kubeconfig::clear_active(&house.home, "globex").unwrap();
    assert_eq!(active().as_deref(), Some("acme"));
    kubeconfig::unmerge(&house.home, "acme").unwrap();
    assert!(house.merged().contains("\ncurrent-context: \"\"\n"), "{}", house.merged());
    kubeconfig::clear_active(&house.home, "acme").unwrap();
    kubeconfig::clear_active(&house.home, "acme").unwrap();
    assert_eq!(active(), None);
}

#[test]
fn a_missing_context_cannot_be_used() {
    let house = House::new();
    assert!(matches!(kubeconfig::use_context(&house.home, "acme"), Err(KubeconfigError::NoContext { .. })));
    assert!(!house.home.root().exists());
    house.kubeconfig(FOREIGN);
    let error = kubeconfig::use_context(&house.home, "acme").unwrap_err();
    assert!(error.to_string().starts_with("no context 'acme' in "), "{error}");
    assert_eq!(house.merged(), FOREIGN);
    assert!(!house.home.active_context().exists());
}
