//! `/etc/vbox/networks.conf`: in which ranges VirtualBox makes host-only networks.
//!
//! VirtualBox 7.0 user manual, 6.7 "Host-Only Networking". A network has to be within one of the ranges as a whole:
//! VirtualBox compares it with one after the other.

use std::fs;
use std::io::ErrorKind;

use camino::Utf8Path;
use ipnet::Ipv4Net;

use super::VirtualBoxError;

/// Where the file is.
pub(super) const PATH: &str = "/etc/vbox/networks.conf";

/// The ranges that are allowed on this host.
pub(super) fn read(path: &Utf8Path) -> Result<Vec<Ipv4Net>, VirtualBoxError> {
    match fs::read(path) {
        Ok(bytes) => Ok(allowed(&String::from_utf8_lossy(&bytes))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(usual()),
        Err(source) => Err(VirtualBoxError::NetworksConf { path: path.to_owned(), source }),
    }
}

/// What is allowed without the file. A file has to allow it again, or it is not.
fn usual() -> Vec<Ipv4Net> {
    vec![Ipv4Net::new_assert([192, 168, 56, 0].into(), 21)]
}

/// The IPv4 ranges of such a file: of lines that begin with an asterisk, which stands alone, every word that is a
/// network. VirtualBox warns of other words and goes on. Pure.
fn allowed(text: &str) -> Vec<Ipv4Net> {
    let lines = text.lines().map(str::split_ascii_whitespace);
    let ranges = lines.filter_map(|mut words| (words.next() == Some("*")).then_some(words)).flatten();
    ranges.filter_map(|range| range.parse::<Ipv4Net>().ok()).map(|range| range.trunc()).collect()
}

/// Whether VirtualBox makes this network. Pure.
pub(super) fn allows(allowed: &[Ipv4Net], network: Ipv4Net) -> bool {
    allowed.iter().any(|range| range.contains(&network))
}

/// The line that allows a range beside those that are allowed: a file that is new ends the default. Pure.
pub(super) fn line(allowed: &[Ipv4Net], further: Ipv4Net) -> String {
    let all: Vec<String> = allowed.iter().chain([&further]).map(ToString::to_string).collect();
    format!("* {}", all.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> Ipv4Net {
        text.parse().unwrap()
    }

    #[test]
    fn ranges_are_read_as_virtualbox_reads_them() {
        let text = "# * 10.1.0.0/16\n* 10.0.0.0/8 192.168.0.0/16\n\n*\t172.16.9.9/12  fd00::/64\n*10.2.0.0/16\n\
                    ** 10.3.0.0/16\n  * 100.64.0.0/24 # remark\n* 10.4.0.0/33 10.5.0.0\n*";
        let expected = ["10.0.0.0/8", "192.168.0.0/16", "172.16.0.0/12", "100.64.0.0/24"];
        assert_eq!(allowed(text), expected.map(net));
        assert_eq!(allowed(""), []);
    }

    #[test]
    fn a_network_is_allowed_as_a_whole_and_by_one_range() {
        let halves = ["192.168.60.0/25", "192.168.60.128/25"].map(net);
        assert!(!allows(&halves, net("192.168.60.0/24")));
        assert!(allows(&halves, net("192.168.60.128/26")));
        assert!(allows(&[net("0.0.0.0/0")], net("192.168.60.0/24")));
        assert!(!allows(&[], net("192.168.60.0/24")));
    }

    #[test]
    fn without_the_file_the_default_is_allowed_and_with_it_only_what_it_says() {
        let folder = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(folder.path()).unwrap().join("networks.conf");
        assert_eq!(read(&path).unwrap(), [net("192.168.56.0/21")]);
        fs::write(&path, "# nothing\n").unwrap();
        assert_eq!(read(&path).unwrap(), []);
        assert!(matches!(read(path.parent().unwrap()), Err(VirtualBoxError::NetworksConf { .. })));
    }

    #[test]
    fn the_line_to_add_keeps_what_is_allowed() {
        assert_eq!(line(&usual(), net("192.168.48.0/24")), "* 192.168.56.0/21 192.168.48.0/24");
    }
}
