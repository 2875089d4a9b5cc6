//! The user's kubeconfig: entries that are not ours survive each change of ours.

mod active;
mod client;
mod file;
mod several;

use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use provisioner::error::Hint;
use provisioner::home::Home;
use provisioner::kubeconfig::{self, KubeconfigError};
use provisioner::plan::ClusterPlan;

use crate::given::{House, instance};

/// A kubeconfig as kubeadm writes it, with shortened keys and certificates.
const ADMIN: &str = "apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: Q0E=
    server: https://api.acme.lab:6443
  name: kubernetes
contexts:
- context:
    cluster: kubernetes
    user: kubernetes-admin
  name: kubernetes-admin@kubernetes
current-context: kubernetes-admin@kubernetes
kind: Config
users:
- name: kubernetes-admin
  user:
    client-certificate-data: Q0VSVA==
    client-key-data: U0VDUkVU
";

/// A user's own kubeconfig, with all that serialising again would lose.
const FOREIGN: &str = r#"# my clusters
kind: Config
apiVersion: v1
preferences: {colors: true}
users:   # people
  - name: ada
    user:
      token: "0123"   # not a number
      exec: {command: 'yes', args: ['on', "off"], env: null}
  # the one at work
  - name: work
    user: {username: 'x: y', password: "1e3"}
clusters:
- name: work
  cluster:
    server: https://10.0.0.1:6443
    certificate-authority-data: |-
      QUJD
      REVG

# contexts below
contexts:
- {name: work, context: {cluster: work, user: work, namespace: 'no'}}

current-context: work
x-mine: [1, 2.50, ~, yes, 1e3]
"#;

fn isolated(name: &str, home: &Home) -> String {
    let acme = instance("acme", &[]);
    let entry = if name == "acme" { acme } else { instance(name, &[acme]) };
    kubeconfig::isolated(ADMIN, &ClusterPlan::of(&entry, home)).unwrap()
}

fn names(text: &str) -> Vec<String> {
    let config = kube::config::Kubeconfig::from_yaml(text).unwrap();
    config.contexts.into_iter().map(|context| context.name).collect()
}

#[test]
fn an_isolated_kubeconfig_knows_one_cluster_by_its_address_and_nothing_else() {
    insta::assert_snapshot!(isolated("acme", &Home::at("/home/ada/.homelab")));
}

#[test]
fn an_admin_conf_that_is_not_kubeadms_is_refused_without_quoting_it() {
    let house = House::new();
    let plan = crate::given::planned("acme", &house.home);
    let refused = |text: &str| {
        let error = kubeconfig::isolated(text, &plan).unwrap_err();
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
        let told = format!("{error}{cause}");
        assert!(!told.contains("U0VDUkVU") && !format!("{error:?}").contains("U0VDUkVU"), "{error:?}");
        told
    };
    let two = ADMIN.replace("users:\n", "users:\n- name: b\n  user: {}\n");
    let torn = ADMIN.replace("    client-key-data", "   client-key-data");
    let refusals = [refused(""), refused("[]"), refused(&two), refused(&torn), refused("users: {}")];
    insta::assert_snapshot!(refusals.join("\n"));
}

#[test]
fn a_new_kubeconfig_has_the_context_but_no_current_one_and_is_for_its_owner_alone() {
    let house = House::new();
    kubeconfig::merge(&house.home, &isolated("acme", &house.home)).unwrap();
    insta::assert_snapshot!(house.merged().replace(&house.home.id(), "[home]"));
    let mode = std::fs::metadata(house.home.merged_kubeconfig()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(std::fs::read_dir(house.home.root()).unwrap().count(), 1, "another file is left");
}

#[test]
fn foreign_contents_survive_a_merge_byte_for_byte_and_an_unmerge_restores_the_file() {
    let house = House::new();
    house.kubeconfig(FOREIGN);
    kubeconfig::merge(&house.home, &isolated("acme", &house.home)).unwrap();
    insta::assert_snapshot!(house.merged().replace(&house.home.id(), "[home]"));
    for line in FOREIGN.lines() {
        assert!(house.merged().lines().any(|ours| ours == line), "lost: {line}");
    }
    kubeconfig::merge(&house.home, &isolated("globex", &house.home)).unwrap();
    assert_eq!(names(&house.merged()), ["work", "acme", "globex"]);
    assert!(kubeconfig::unmerge(&house.home, "acme").unwrap());
    assert!(kubeconfig::unmerge(&house.home, "globex").unwrap());
    assert_eq!(house.merged(), FOREIGN);
    assert!(!kubeconfig::unmerge(&house.home, "acme").unwrap());
}

#[test]
fn a_key_that_only_begins_like_a_list_of_the_kubeconfig_stays_byte_for_byte() {
    let house = House::new();
    let text = "clusters:a: 1 # not a list of clusters\nkind: Config\n";
    house.kubeconfig(text);
    kubeconfig::merge(&house.home, &isolated("acme", &house.home)).unwrap();
    assert!(house.merged().starts_with(text), "{}", house.merged());
    assert!(kubeconfig::unmerge(&house.home, "acme").unwrap());
    assert_eq!(house.merged(), text);
}

#[test]
fn a_key_that_begins_with_a_dash_is_no_item_of_the_list_before_it() {
    let house = House::new();
    let rest = "-other: # no item\n- kept # as it is\nkind: Config";
    house.kubeconfig(&format!("clusters:\n{rest}"));
    kubeconfig::merge(&house.home, &isolated("acme", &house.home)).unwrap();
    assert!(house.merged().contains(&format!("\n{rest}\n")), "{}", house.merged());
    assert!(kubeconfig::unmerge(&house.home, "acme").unwrap());
    assert_eq!(house.merged(), format!("clusters: []\n{rest}"));
}

#[test]
fn a_file_in_flow_style_keeps_its_values() {
    let house = House::new();
    let foreign = json!({
        "kind": "Config", "apiVersion": "v1", "current-context": "yes",
        "clusters": [{ "name": "no", "cluster": { "server": "https://1.2.3.4", "x": [1, 2.5, null, "0x1F", "1e3"] } }],
        "users": [{ "name": "off", "user": { "token": "012", "password": "~" } }],
        "contexts": [{ "name": "yes", "context": { "cluster": "no", "user": "off", "namespace": "null" } }],
        "extra": { "a": "2024-01-01", "b": "multi\nline\n", "c": " padded ", "d": "# no comment", "e": "x: y" },
    });
    house.kubeconfig(&foreign.to_string());
    kubeconfig::merge(&house.home, &isolated("acme", &house.home)).unwrap();
    assert_eq!(names(&house.merged()), ["yes", "acme"]);
    assert!(kubeconfig::unmerge(&house.home, "acme").unwrap());
    // The text differs from the original one, but has the same values, also for a parser of YAML 1.1.
    insta::assert_snapshot!(house.merged());
}

#[test]
fn a_file_that_cannot_be_rewritten_without_changing_a_value_is_refused_and_left_alone() {
    let house = House::new();
    for value in ["1e3", "0123", "0x1F", "1.10"] {
        let text = format!("{{users: [{{name: ada, user: {{password: {value}}}}}]}}\n");
        house.kubeconfig(&text);
        let error = kubeconfig::merge(&house.home, &isolated("acme", &house.home)).unwrap_err();
        assert!(matches!(error, KubeconfigError::Shape { .. }), "{error}");
        assert_eq!(house.merged(), text);
    }
}

#[test]
fn merging_again_replaces_in_place_and_writes_nothing_when_nothing_changes() {
    let house = House::new();
    house.kubeconfig(FOREIGN);
    for name in ["acme", "globex"] {
        kubeconfig::merge(&house.home, &isolated(name, &house.home)).unwrap();
    }
    let inode = || {
        use std::os::unix::fs::MetadataExt;
        std::fs::metadata(house.home.merged_kubeconfig()).unwrap().ino()
    };
    let (before, text) = (inode(), house.merged());
    kubeconfig::merge(&house.home, &isolated("acme", &house.home)).unwrap();
    assert_eq!(inode(), before, "the file was written");
    let renewed = isolated("acme", &house.home).replace("Q0VSVA==", "TkVX");
    kubeconfig::merge(&house.home, &renewed).unwrap();
    assert_eq!(house.merged(), text.replacen("Q0VSVA==", "TkVX", 1));
}

#[test]
fn a_foreign_entry_of_the_same_name_is_refused_and_left_alone() {
    let house = House::new();
    let theirs = "clusters:\n- name: work\n  cluster: {server: 'https://10.9.8.7:6443'}\n\
                  contexts:\n- name: acme\n  context: {cluster: work, user: me}\nusers: []\n";
    house.kubeconfig(theirs);
    let error = kubeconfig::merge(&house.home, &isolated("acme", &house.home)).unwrap_err();
    let told = error.to_string().replace(house.home.root().as_str(), "~");
    insta::assert_snapshot!(told, @"context 'acme' in ~/kubeconfig does not belong to this homelab (its server is https://10.9.8.7:6443)");
    assert!(error.hint().unwrap().contains("kubectl config rename-context acme"));
    assert!(matches!(kubeconfig::use_context(&house.home, "acme"), Err(KubeconfigError::Foreign { .. })));
    assert!(!kubeconfig::unmerge(&house.home, "acme").unwrap());
    assert_eq!(house.merged(), theirs);
}

#[test]
fn another_homes_context_of_the_same_name_is_foreign() {
    let (house, other) = (House::new(), House::new());
    kubeconfig::merge(&house.home, &isolated("acme", &other.home)).unwrap();
    let before = house.merged();
    assert!(!kubeconfig::unmerge(&house.home, "acme").unwrap());
    let error = kubeconfig::merge(&house.home, &isolated("acme", &house.home)).unwrap_err();
    assert!(matches!(error, KubeconfigError::Foreign { kind: "cluster", .. }), "{error}");
    assert_eq!(house.merged(), before);
}

#[test]
fn a_file_that_is_no_kubeconfig_is_refused_and_left_alone() {
    let house = House::new();
    for text in
        ["clusters: [", "just words", "- a\n- b\n", "clusters: 7\n", "a: 1\na: 2\n", "a: 1\n---\nb: 2\n"]
    {
        house.kubeconfig(text);
        let error = kubeconfig::merge(&house.home, &isolated("acme", &house.home)).unwrap_err();
        assert!(
            matches!(error, KubeconfigError::Unparsable { .. } | KubeconfigError::Shape { .. }),
            "{text:?}: {error}"
        );
        assert!(error.hint().is_some());
        assert_eq!(house.merged(), text);
    }
}
