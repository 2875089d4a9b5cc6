//! `/etc/hosts` and the drop-ins of dnsmasq. Text that is not ours stays as it is, byte for byte.

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

/// Adds the blocks of two instances to a hosts file and removes them.
///
/// # Panics
/// When the rest of the file has changed.
pub fn hosts(data: &[u8]) {
    thread_local!(static HOST: Host = Host::new());
    HOST.with(|host| {
        let (home, file) = (&host.place.home, host.place.path("hosts"));
        let before = host.place.of_this_home(data);
        std::fs::write(&file, &before).unwrap();
        let dns = Dns::Hosts { file: file.clone(), labels: vec!["grafana".parse().unwrap()] };
        let now = || std::fs::read(&file).unwrap();
        dns.list(home).unwrap();
        assert_eq!(now(), before, "reading has changed the file");
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
                    "a block has changed the rest of the file"
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

/// Adds the drop-ins of two instances beside another program's drop-in and removes them.
///
/// # Panics
/// When the other program's drop-in has changed.
pub fn dnsmasq(data: &[u8]) {
    thread_local!(static HOST: Host = Host::new());
    HOST.with(|host| {
        let (home, folder) = (&host.place.home, host.place.path("dnsmasq.d"));
        std::fs::create_dir_all(&folder).unwrap();
        let theirs = folder.join("theirs.conf");
        // The same bytes are also at the path of our own drop-in.
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
