//! Values as people read them: durations, sizes, networks, paths, lists. Pure, except [`own_path`].

use std::time::Duration;

use camino::Utf8Path;
use ipnet::Ipv4Net;

/// An uptime in its two largest units: `2d 14h`, `3h 22m`, `5m`, `12s`. A negative one counts as zero.
pub(crate) fn uptime(seconds: i64) -> String {
    let seconds = seconds.max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m"),
        (0, _, _) => format!("{hours}h {}m", minutes % 60),
        _ => format!("{days}d {}h", hours % 24),
    }
}

/// A duration: `0.4s`, `12.3s`, `2m 05s`.
pub(crate) fn took(duration: Duration) -> String {
    let seconds = duration.as_secs();
    if seconds < 60 {
        format!("{:.1}s", duration.as_secs_f64())
    } else {
        format!("{}m {:02}s", seconds / 60, seconds % 60)
    }
}

/// A size in its largest unit: `512 B`, `3.4 MiB`, `1.2 GiB`.
#[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
pub(crate) fn size(bytes: u64) -> String {
    let units = [("GiB", 1_u64 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    let unit = units.into_iter().find(|(_, unit)| bytes >= *unit);
    unit.map_or(format!("{bytes} B"), |(name, unit)| format!("{:.1} {name}", bytes as f64 / unit as f64))
}

/// A /24 as its first three octets (`192.168.60`), any other network in CIDR notation.
pub(crate) fn octets(net: Ipv4Net) -> String {
    let text = net.network().to_string();
    match text.strip_suffix(".0") {
        Some(octets) if net.prefix_len() == 24 => octets.to_owned(),
        _ => net.to_string(),
    }
}

/// A path with `~` for the user's home directory `house`. Without one, the path as it is.
pub(crate) fn path(path: &Utf8Path, house: Option<&str>) -> String {
    match house.and_then(|house| path.strip_prefix(house).ok()) {
        Some(rest) => format!("~/{rest}"),
        None => path.to_string(),
    }
}

/// A path with `~` for `$HOME` of this process.
pub(crate) fn own_path(of: &Utf8Path) -> String {
    path(of, std::env::var("HOME").ok().filter(|house| house.len() > 1).as_deref())
}

/// `1 node`, `3 nodes`.
pub(crate) fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// `a, b, c`.
pub(crate) fn list(names: &[String]) -> String {
    names.join(", ")
}

/// The names of the existing instances, for the end of an error message.
pub(crate) fn there_are(names: &[String]) -> String {
    match names {
        [] => "there are none on this host".to_owned(),
        [one] => format!("there is only '{one}'"),
        many => format!("there are {}", list(many)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_uptime_shows_its_two_largest_units() {
        let said = [0, 12, 59, 60, 300, 3599, 3600, 12_120, 86_400, 223_200].map(uptime);
        let expected = ["0s", "12s", "59s", "1m", "5m", "59m", "1h 0m", "3h 22m", "1d 0h", "2d 14h"];
        assert_eq!(said, expected);
    }

    #[test]
    fn a_duration_has_tenths_below_a_minute() {
        let said = [400, 12_340, 125_000].map(|ms| took(Duration::from_millis(ms)));
        assert_eq!(said, ["0.4s", "12.3s", "2m 05s"]);
    }

    #[test]
    fn a_size_is_shown_in_its_largest_unit() {
        let said = [0, 1023, 1024, 3_565_158, 1 << 30].map(size);
        assert_eq!(said, ["0 B", "1023 B", "1.0 KiB", "3.4 MiB", "1.0 GiB"]);
    }

    #[test]
    fn a_path_below_the_home_directory_begins_with_a_tilde() {
        assert_eq!(path("/home/ann/.kube/config".into(), Some("/home/ann")), "~/.kube/config");
        assert_eq!(path("/home/anna/.kube/config".into(), Some("/home/ann")), "/home/anna/.kube/config");
    }

    #[test]
    fn only_a_24_is_shown_as_three_octets() {
        let net = |text: &str| octets(text.parse().expect("a network"));
        assert_eq!([net("192.168.60.0/24"), net("10.0.0.0/16")], ["192.168.60", "10.0.0.0/16"]);
    }
}
