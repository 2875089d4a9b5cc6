//! Names on the host: ours are recorded and removed, all other entries stay byte for byte.

mod dnsmasq;
mod hosts;
mod properties;
mod sync;

use camino::Utf8PathBuf;

use provisioner::dns::{Dns, DnsError, Records};
use provisioner::home::Home;
use provisioner::plan::ClusterPlan;

use crate::given::{House, instance};

/// As Debian's installer leaves it.
const FOREIGN: &str = "127.0.0.1\tlocalhost\n\
                       127.0.1.1\tada.example.org ada\n\
                       \n\
                       # IPv6\n\
                       ::1     localhost ip6-localhost\n";

/// A home with a hosts file outside of it.
struct Host {
    house: House,
    file: Utf8PathBuf,
    dns: Dns,
}

impl Host {
    fn with(contents: impl AsRef<[u8]>) -> Self {
        let house = House::new();
        let file = house.path("hosts");
        std::fs::write(&file, contents).unwrap();
        let dns = Dns::Hosts { file: file.clone(), labels: Vec::new() };
        Self { house, file, dns }
    }

    fn home(&self) -> &Home {
        &self.house.home
    }

    fn add(&self, name: &str) -> Result<bool, DnsError> {
        self.dns.add(&records(name, self.home()))
    }

    fn remove(&self, name: &str) -> Result<bool, DnsError> {
        self.dns.remove(self.home(), name)
    }

    fn bytes(&self) -> Vec<u8> {
        std::fs::read(&self.file).unwrap()
    }

    fn text(&self) -> String {
        String::from_utf8(self.bytes()).unwrap()
    }

    /// A text with placeholders for the parts that differ from run to run.
    fn shown(&self, text: &str) -> String {
        let folder = self.file.parent().unwrap();
        text.replace(&self.home().id(), "[home]").replace(folder.as_str(), "/etc")
    }
}

/// The names of an instance. acme, globex and acme-1 get different networks, in this order.
fn records(name: &str, home: &Home) -> Records {
    let mut there = Vec::new();
    for other in ["acme", "globex", "acme-1"] {
        let next = instance(other, &there);
        if other == name {
            return Records::of(&ClusterPlan::of(&next, home));
        }
        there.push(next);
    }
    Records::of(&ClusterPlan::of(&instance(name, &there), home))
}
