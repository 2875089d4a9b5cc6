//! `config.yaml`: missing keys have their defaults, all problems are reported together, and nothing is guessed.

use std::error::Error;

use provisioner::Provisioner;
use provisioner::dns::Dns;
use provisioner::error::Hint;
use provisioner::plan::{PlanError, Pools, Taken};
use provisioner::request::{ClusterSpec, EngineKind, NodeSize, Provider};
use provisioner::settings::{EngineFamily, Settings, SettingsError, Vagrant};

use crate::given::{House, checked, claimed, net};

fn read(text: &str) -> Result<Settings, SettingsError> {
    let house = House::new();
    write(&house, text);
    Settings::of(&house.home)
}

fn write(house: &House, text: &str) {
    house.home.create_dir(house.home.root()).unwrap();
    std::fs::write(house.home.settings(), text).unwrap();
}

/// All problems of a file, one line each.
fn problems(text: &str) -> String {
    match read(text).unwrap_err() {
        SettingsError::Problems { problems, .. } => {
            problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
        }
        other => panic!("an error without problems: {other}"),
    }
}

/// The YAML blocks of the documentation.
fn documented() -> Vec<&'static str> {
    let page = include_str!("../../../docs/settings.md");
    page.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

#[test]
fn no_file_an_empty_one_and_one_of_comments_mean_the_defaults() {
    assert_eq!(Settings::of(&House::new().home).unwrap(), Settings::default());
    for text in ["", "# nothing yet\n", "{}\n", "pools:\ndns:\n", "pools: { subnet: }\n"] {
        assert_eq!(read(text).unwrap(), Settings::default(), "{text:?}");
    }
}

#[test]
fn the_documented_defaults_are_the_defaults() {
    assert_eq!(read(documented()[0]).unwrap(), Settings::default());
}

#[test]
fn the_documented_smaller_blocks_have_room_for_64_instances() {
    let pools = read(documented()[1]).unwrap().pools;
    assert_eq!(pools.subnet.first, net("192.168.60.0/26"));
    let mut taken = Taken::default();
    for i in 0..64 {
        let spec = checked(&format!("client-{i}"));
        taken.instances.push(claimed(&spec, &taken, &pools).unwrap());
    }
    let full = claimed(&checked("one-more"), &taken, &pools).unwrap_err();
    insta::assert_snapshot!(full, @"no subnet left in pool 192.168.48.0/20: all 64 blocks of /26 are in use");
    let spec = ClusterSpec::new("large").workers(43).check().unwrap();
    let large = claimed(&spec, &Taken::default(), &pools).unwrap_err();
    assert!(
        matches!(large, PlanError::DoesNotFit { what: "subnet", size: 26, room: 43, asked: 44 }),
        "{large}"
    );
}

#[test]
fn a_configured_range_is_used_from_its_beginning_unless_first_is_set() {
    let text = "pools: { subnet: { range: 172.16.0.0/16 }, pod: { range: 10.128.0.0/10, block: 20 } }";
    let pools = read(text).unwrap().pools;
    assert_eq!((pools.subnet.block, pools.subnet.first), (24, net("172.16.0.0/24")));
    assert_eq!((pools.pod.block, pools.pod.first), (20, net("10.128.0.0/20")));
    assert_eq!(pools.service, Pools::default().service);
    let text = "pools: { subnet: { first: 192.168.50.0/24 } }";
    assert_eq!(read(text).unwrap().pools.subnet.first, net("192.168.50.0/24"));
}

#[test]
fn the_dns_provider_is_that_of_the_file() {
    let dns = |text: &str| read(&format!("dns: {{ {text} }}")).unwrap().dns;
    let labels = vec!["grafana".parse().unwrap()];
    assert_eq!(
        dns("hostsFile: /srv/hosts, labels: [grafana]"),
        Dns::Hosts { file: "/srv/hosts".into(), labels }
    );
    let folder = || "/srv/dns".into();
    let dnsmasq = dns("provider: dnsmasq, dnsmasqFolder: /srv/dns, restart: [] ");
    assert_eq!(dnsmasq, Dns::Dnsmasq { folder: folder(), restart: None });
    let restart = Some(["sv", "restart", "dnsmasq"].map(str::to_owned).to_vec());
    let dnsmasq = dns("provider: dnsmasq, dnsmasqFolder: /srv/dns, restart: [sv, restart, dnsmasq]");
    assert_eq!(dnsmasq, Dns::Dnsmasq { folder: folder(), restart });
    assert_eq!(dns("provider: none"), Dns::None);
}

#[test]
fn engine_and_node_size_are_those_of_the_file_and_missing_keys_have_the_defaults() {
    let text = "engine: vagrant\nvagrant: { provider: virtualbox, cpus: 4, memoryMiB: 4096 }";
    let settings = read(text).unwrap();
    assert_eq!(settings.engine, EngineFamily::Vagrant);
    let size = NodeSize { cpus: 4, memory_mib: 4096 };
    assert_eq!(settings.vagrant, Vagrant { provider: Some(Provider::Virtualbox), size });
    // Earlier versions called the same key `memoryMb`.
    let earlier = read("vagrant: { memoryMb: 4096 }").unwrap();
    assert_eq!(earlier.vagrant.size.memory_mib, 4096);
    let usual = NodeSize::default();
    let some = read("vagrant: { cpus: 3, provider: }").unwrap();
    assert_eq!(some.engine, EngineFamily::Container);
    assert_eq!(some.vagrant, Vagrant { provider: None, size: NodeSize { cpus: 3, ..usual } });
}

#[test]
fn a_management_network_is_drawn_from_its_own_pool_where_the_engine_needs_one() {
    let pools = read("pools: { management: { range: 172.20.0.0/20, block: 27 } }").unwrap().pools;
    let drawn = |engine| {
        let spec = ClusterSpec::new("acme").engine(engine).check().unwrap();
        claimed(&spec, &Taken::default(), &pools).unwrap().management
    };
    assert_eq!(drawn(EngineKind::Vagrant(Provider::Libvirt)), Some(net("172.20.0.0/27")));
    assert_eq!(drawn(EngineKind::Vagrant(Provider::Virtualbox)), None);
    assert_eq!(drawn(EngineKind::Container), None);
}

#[test]
fn every_problem_is_reported_at_once_with_the_path_of_its_field() {
    let text = "
pools:
  subnet: { range: 192.168.50.0/20, block: 28, first: here, size: 3 }
  pod: { range: 8.0.0.0/12, block: '16', last: 1 }
  service: [10.96.0.0/12]
  hosts: {}
dns:
  provider: bind
  hostsFile: hosts
  labels: [a.b]
  dnsmasqFolder: 7
  restart: systemctl restart dnsmasq
colour: blue
engine: docker
vagrant: { provider: hyperv, cpus: 1, memoryMiB: 1699, disk: 20 }
";
    insta::assert_snapshot!(problems(text));
}

#[test]
fn invalid_pools_and_node_sizes_are_refused_with_the_reason() {
    let files = [
        "pools: { pod: { range: 10.244.0.0/18 } }",
        "pools: { subnet: { first: 192.168.64.0/24 } }",
        "pools: { subnet: { first: 192.168.60.0/26 } }",
        "pools: { subnet: { block: 26, first: 192.168.60.0/24 } }",
        "pools: { service: { range: 10.0.0.0/8 } }",
        "pools: { subnet: { range: 10.97.0.0/20 } }",
        "pools: { service: { range: 10.0.0.0/7 } }",
        "pools: { management: { range: 10.244.0.0/18 } }",
        "pools: { management: { block: 28 } }",
        "vagrant: { cpus: many, memoryMiB: -1 }",
        "vagrant: { cpus: 300 }",
        "engine: [vagrant]",
    ];
    let reasons = files.map(|text| format!("{text}\n  {}", problems(text).replace('\n', "\n  ")));
    insta::assert_snapshot!(reasons.join("\n"));
}

#[test]
fn invalid_yaml_is_refused_with_its_place_and_no_provisioner_is_created() {
    let house = House::new();
    for text in ["pools: [", "pools: {}\npools: {}\n"] {
        write(&house, text);
        let error = Provisioner::new(house.home.clone()).unwrap_err();
        assert!(matches!(error, SettingsError::Unparsable { .. }), "{text}: {error}");
        assert!(error.source().unwrap().to_string().contains("line"), "{:?}", error.source());
        assert!(error.hint().unwrap().contains("config.yaml"));
    }
    std::fs::remove_file(house.home.settings()).unwrap();
    std::fs::create_dir(house.home.settings()).unwrap();
    assert!(matches!(Provisioner::new(house.home.clone()), Err(SettingsError::File { .. })));
}

#[test]
fn an_error_names_the_file_the_problems_and_what_to_do() {
    let house = House::new();
    write(&house, "pool: {}\n");
    let error = Provisioner::new(house.home.clone()).unwrap_err();
    let said = format!("{error}\nhint: {}", error.hint().unwrap());
    insta::assert_snapshot!(said.replace(house.home.root().as_str(), "~/.homelab"), @r"
    ~/.homelab/config.yaml cannot be used:
    pool is unknown; known here: pools, dns, engine, vagrant, audit
    hint: correct ~/.homelab/config.yaml, or move it away to use the defaults; docs/settings.md has all keys
    ");
}
