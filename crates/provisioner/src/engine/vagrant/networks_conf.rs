//! Which host-only networks VirtualBox allows: `/etc/vbox/networks.conf`. Pure.
//!
//! Since version 6.1.28 it refuses addresses outside of what this file lists, and without the file outside of one range
//! (VirtualBox manual, "Host-Only Networking").

use ipnet::Ipv4Net;

/// Where VirtualBox looks.
pub const PATH: &str = "/etc/vbox/networks.conf";

/// What it allows without the file: 192.168.56.0/21.
fn usual() -> Ipv4Net {
    Ipv4Net::new_assert([192, 168, 56, 0].into(), 21)
}

/// The lines that the file lacks before networks of this range are allowed, given what is in it, if it is there. A file
/// that is new says what was allowed without it, too.
pub fn lines_to_add(text: Option<&str>, range: Ipv4Net) -> Vec<String> {
    let line = |net: Ipv4Net| format!("* {net}");
    match text {
        None if usual().contains(&range) => Vec::new(),
        None => vec![line(usual()), line(range)],
        Some(text) if allowed(text).iter().any(|net| net.contains(&range)) => Vec::new(),
        Some(_) => vec![line(range)],
    }
}

/// The IPv4 networks of the file: its lines begin with an asterisk, and may hold several.
fn allowed(text: &str) -> Vec<Ipv4Net> {
    let lines = text.lines().filter_map(|line| line.trim().strip_prefix('*'));
    lines.flat_map(str::split_whitespace).filter_map(|word| word.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lacks(text: Option<&str>) -> Vec<String> {
        lines_to_add(text, "192.168.48.0/20".parse().expect("a network"))
    }

    #[test]
    fn without_a_file_one_range_is_allowed_and_stays_so() {
        assert_eq!(lacks(None), ["* 192.168.56.0/21", "* 192.168.48.0/20"]);
        assert!(lines_to_add(None, "192.168.60.0/22".parse().expect("a network")).is_empty());
    }

    #[test]
    fn a_file_that_allows_the_range_lacks_nothing() {
        for text in
            ["* 192.168.48.0/20", "# ours\n  * 10.0.0.0/8 192.168.0.0/16\n* 2001::/64\n", "* 0.0.0.0/0 ::/0"]
        {
            assert!(lacks(Some(text)).is_empty(), "{text}");
        }
    }

    #[test]
    fn a_file_that_allows_only_a_part_or_none_of_it_lacks_a_line() {
        for text in ["", "* 192.168.56.0/21\n", "# * 192.168.0.0/16\n", "192.168.0.0/16\n", "* everything\n"]
        {
            assert_eq!(lacks(Some(text)), ["* 192.168.48.0/20"], "{text}");
        }
    }
}
