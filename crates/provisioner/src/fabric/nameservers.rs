//! The name servers that the host uses. The host must still reach them, also where they are in a range of a pool.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::net::Ipv4Addr;

use super::FabricError;

/// The file that the host's programs read, and the file with the servers that systemd-resolved asks
/// (systemd-resolved(8)).
const FILES: [&str; 2] = ["/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"];

/// The IPv4 addresses of all name servers of the host.
pub(super) fn of_host() -> Result<BTreeSet<Ipv4Addr>, FabricError> {
    let mut all = BTreeSet::new();
    for path in FILES {
        match fs::read(path) {
            Ok(bytes) => all.extend(listed(&String::from_utf8_lossy(&bytes))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(FabricError::NameServers { path: path.to_owned(), source }),
        }
    }
    Ok(all)
}

/// The IPv4 name servers in a text of resolv.conf(5), by its rules: the keyword begins the line, and white space
/// follows. Pure.
fn listed(text: &str) -> impl Iterator<Item = Ipv4Addr> {
    text.lines().filter_map(|line| {
        let rest = line.strip_prefix("nameserver")?;
        let address = rest.strip_prefix([' ', '\t'])?.split_whitespace().next()?;
        address.parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_servers_are_read_as_the_resolver_reads_them() {
        let text = "# nameserver 10.0.0.1\n; nameserver 10.0.0.2\n nameserver 10.0.0.3\nnameservers 10.0.0.4\n\
                    search corp.example\nnameserver 10.255.255.53\nnameserver\t192.168.50.1  # the router\n\
                    nameserver fd00::53\nnameserver fe80::1%eth0\nnameserver\nnameserver 10.0.0\n\
                    options edns0 trust-ad\nnameserver 127.0.0.53";
        let listed: Vec<String> = listed(text).map(|address| address.to_string()).collect();
        assert_eq!(listed, ["10.255.255.53", "192.168.50.1", "127.0.0.53"]);
    }
}
