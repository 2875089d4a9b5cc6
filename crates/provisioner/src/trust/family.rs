//! Where a family of Linux distributions keeps trust anchors, and how it takes note of them. Pure.

use camino::Utf8PathBuf;

/// A family of distributions, as data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Family {
    /// The folder of the anchors that the host's administrator adds.
    pub anchors: Utf8PathBuf,
    /// How an anchor's file name has to end.
    pub extension: &'static str,
    /// What makes the host take note of a new anchor.
    pub added: Vec<String>,
    /// What makes it take note that one is gone.
    pub removed: Vec<String>,
}

impl Family {
    /// The family of a host by its `/etc/os-release` (os-release(5)): the distribution itself, or else the
    /// nearest one that it says to be like.
    pub fn of(os_release: &str) -> Option<Self> {
        let value = |key: &str| {
            let line = os_release.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='))?;
            Some(line.trim().trim_matches(['"', '\'']).to_owned())
        };
        let (id, like) = (value("ID").unwrap_or_default(), value("ID_LIKE").unwrap_or_default());
        std::iter::once(id.as_str()).chain(like.split_whitespace()).find_map(Self::named)
    }

    fn named(id: &str) -> Option<Self> {
        let family = |anchors: &str, extension, added: &[&str], removed: &[&str]| Self {
            anchors: anchors.into(),
            extension,
            added: added.iter().map(|word| (*word).to_owned()).collect(),
            removed: removed.iter().map(|word| (*word).to_owned()).collect(),
        };
        let debian = "update-ca-certificates";
        let fedora = ["update-ca-trust", "extract"];
        let arch = ["update-ca-trust"];
        match id {
            // Without --fresh, Debian's script leaves links to anchors that are gone (update-ca-certificates(8)).
            "debian" | "ubuntu" => {
                let removed = [debian, "--fresh"];
                Some(family("/usr/local/share/ca-certificates", "crt", &[debian], &removed))
            }
            // Alpine's program of the same name removes such links by itself.
            "alpine" => Some(family("/usr/local/share/ca-certificates", "crt", &[debian], &[debian])),
            // update-ca-trust(8): it always extracts everything anew.
            "fedora" | "rhel" | "centos" => {
                Some(family("/etc/pki/ca-trust/source/anchors", "pem", &fedora, &fedora))
            }
            "arch" => Some(family("/etc/ca-certificates/trust-source/anchors", "pem", &arch, &arch)),
            // update-ca-certificates(8) of openSUSE: p11-kit's sources, extracted anew as well.
            "suse" | "opensuse" | "sles" => {
                Some(family("/etc/pki/trust/anchors", "pem", &[debian], &[debian]))
            }
            _ => None,
        }
    }
}
