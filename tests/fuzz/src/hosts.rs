//! `/etc/hosts` and the drop-ins of dnsmasq. What is not ours stays as it is, byte for byte.

use provisioner::dns::{Dns, Records};

use unit::without_blocks;

use crate::place::{Place, find};

struct Host {
    place: Place,
    records: [Records; 2],
}

impl Host {
    fn new() -> Self {
        let place = Place::new();
        let (acme, first) = place.plan("acme", &[]);
        let (_, second) = place.plan("globex", &[acme]);
        let records = [first, second].map(|plan| Records::of(&plan));
        Self { place, records }
    }
}

/// A hosts file, in which the blocks of two instances come and go.
///
/// # Panics
/// When anything else in it is not as it was.
pub fn hosts(data: &[u8]) {
    thread_local!(static HOST: Host = Host::new());
    HOST.with(|host| {
        let (home, file) = (&host.place.home, host.place.path("hosts"));
        let before = host.place.of_this_home(data);
        std::fs::write(&file, &before).unwrap();
        let dns = Dns::Hosts { file: file.clone(), labels: vec!["grafana".parse().unwrap()] };
        let now = || std::fs::read(&file).unwrap();
        dns.list(home).unwrap();
        assert_eq!(now(), before, "looking has changed the file");
        let is_foreign = find(&before, home.id().as_bytes()).is_none();
        let mut added = Vec::new();
        for records in &host.records {
            let there = now();
            match dns.add(records) {
                Ok(_) => added.push(records.id.name.as_str()),
                Err(error) => assert_eq!(now(), there, "{error}"),
            }
            if is_foreign {
                assert_eq!(
                    without_blocks(&now(), &home.id()),
                    before,
                    "a block has changed what is beside it"
                );
            }
        }
        let listed = dns.list(home).unwrap();
        for name in &added {
            assert!(listed.iter().any(|one| one.instance() == *name), "{name} is not in {listed:?}");
            assert!(dns.remove(home, name).unwrap());
        }
        if is_foreign {
            assert_eq!(now(), before);
        }
    });
}

/// Another program's drop-in, beside which those of two instances come and go.
///
/// # Panics
/// When it is not as it was.
pub fn dnsmasq(data: &[u8]) {
    thread_local!(static HOST: Host = Host::new());
    HOST.with(|host| {
        let (home, folder) = (&host.place.home, host.place.path("dnsmasq.d"));
        std::fs::create_dir_all(&folder).unwrap();
        let theirs = folder.join("theirs.conf");
        // The same bytes also lie where our own drop-in will.
        let ours = folder.join(format!("{}.conf", host.records[0].id.scope()));
        [&theirs, &ours].into_iter().for_each(|path| std::fs::write(path, data).unwrap());
        let dns = Dns::Dnsmasq { folder, restart: None };
        dns.list(home).unwrap();
        for records in &host.records {
            if dns.add(records).is_ok() {
                let listed = dns.list(home).unwrap();
                assert!(listed.iter().any(|one| one.instance() == records.id.name));
            }
        }
        for records in &host.records {
            dns.remove(home, &records.id.name).unwrap();
        }
        assert!(dns.list(home).unwrap().is_empty());
        assert_eq!(std::fs::read(&theirs).unwrap(), data);
    });
}
