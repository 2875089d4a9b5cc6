//! The host-only networks that VirtualBox allows, by `/etc/vbox/networks.conf`. All but [`read`] is pure.
//!
//! Since version 6.1.28 VirtualBox refuses addresses outside of the ranges in this file; without the file it allows one
//! range (VirtualBox manual, "Host-Only Networking"). A network must be within a single range, because VirtualBox
//! compares it with one range after the other.

use std::fs;
use std::io;

use camino::Utf8Path;
use ipnet::Ipv4Net;

/// The path of the file.
pub const PATH: &str = "/etc/vbox/networks.conf";

/// The text of such a file; `None` if it does not exist.
///
/// # Errors
/// The file exists and cannot be read.
pub fn read(path: &Utf8Path) -> io::Result<Option<String>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The range that VirtualBox allows without the file: 192.168.56.0/21.
fn usual() -> Ipv4Net {
    Ipv4Net::new_assert([192, 168, 56, 0].into(), 21)
}

/// The allowed IPv4 ranges. `text` is the file's text, or `None` if the file does not exist. In lines that begin with
/// the word `*`, every word that is a network counts. VirtualBox warns of other words and goes on.
pub fn allowed(text: Option<&str>) -> Vec<Ipv4Net> {
    let Some(text) = text else { return vec![usual()] };
    let lines = text.lines().map(str::split_ascii_whitespace);
    let words = lines.filter_map(|mut words| (words.next() == Some("*")).then_some(words)).flatten();
    words.filter_map(|word| word.parse::<Ipv4Net>().ok()).map(|range| range.trunc()).collect()
}

/// Whether all networks in this range are allowed.
pub fn allows(text: Option<&str>, range: Ipv4Net) -> bool {
    allowed(text).iter().any(|net| net.contains(&range))
}

/// The lines to add to the file so that all networks in this range are allowed: `* 192.168.48.0/20`. If the file does
/// not exist yet, the range that was allowed without it is added as well.
pub fn lines_to_add(text: Option<&str>, range: Ipv4Net) -> Vec<String> {
    let line = |net: Ipv4Net| format!("* {net}");
    match text {
        _ if allows(text, range) => Vec::new(),
        None => vec![line(usual()), line(range)],
        Some(_) => vec![line(range)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lacks(text: Option<&str>) -> Vec<String> {
        lines_to_add(text, "192.168.48.0/20".parse().expect("a network"))
    }

    #[test]
    fn a_new_file_also_allows_the_range_that_is_allowed_without_one() {
        assert_eq!(lacks(None), ["* 192.168.56.0/21", "* 192.168.48.0/20"]);
        assert!(lines_to_add(None, "192.168.60.0/22".parse().expect("a network")).is_empty());
    }

    #[test]
    fn a_file_that_allows_the_range_needs_no_line() {
        for text in
            ["* 192.168.48.0/20", "# ours\n  * 10.0.0.0/8 192.168.0.0/16\n* 2001::/64\n", "* 0.0.0.0/0 ::/0"]
        {
            assert!(lacks(Some(text)).is_empty(), "{text}");
        }
    }

    #[test]
    fn a_file_that_allows_only_a_part_of_the_range_or_none_needs_a_line() {
        for text in ["", "* 192.168.56.0/21\n", "# * 192.168.0.0/16\n", "192.168.0.0/16\n", "* everything\n"]
        {
            assert_eq!(lacks(Some(text)), ["* 192.168.48.0/20"], "{text}");
        }
    }

    #[test]
    fn ranges_are_read_as_virtualbox_reads_them() {
        let text = "# * 10.1.0.0/16\n* 10.0.0.0/8 192.168.0.0/16\n\n*\t172.16.9.9/12  fd00::/64\n*10.2.0.0/16\n\
                    ** 10.3.0.0/16\n  * 100.64.0.0/24 # remark\n* 10.4.0.0/33 10.5.0.0\n*";
        let expected = ["10.0.0.0/8", "192.168.0.0/16", "172.16.0.0/12", "100.64.0.0/24"];
        assert_eq!(allowed(Some(text)), expected.map(|range| range.parse().expect("a network")));
    }

    #[test]
    fn a_network_is_allowed_as_a_whole_and_by_one_range() {
        let halves = Some("* 192.168.60.0/25 192.168.60.128/25");
        let allowed = |range: &str| allows(halves, range.parse().expect("a network"));
        assert!(!allowed("192.168.60.0/24"));
        assert!(allowed("192.168.60.128/26"));
    }

    #[test]
    fn a_missing_file_is_no_error_and_an_unreadable_one_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = Utf8Path::from_path(folder.path()).expect("its path");
        let path = folder.join("networks.conf");
        assert_eq!(read(&path).expect("no file"), None);
        fs::write(&path, "* 10.0.0.0/8\n").expect("a file");
        assert_eq!(read(&path).expect("a file").as_deref(), Some("* 10.0.0.0/8\n"));
        assert!(read(folder).is_err());
    }
}
