//! The trust stores of Linux distributions, by family: the folder of anchors, and the commands that update the store.
//! Pure.

use camino::Utf8PathBuf;

/// A family of distributions, as data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Family {
    /// The folder of the anchors that the host's administrator adds.
    pub anchors: Utf8PathBuf,
    /// The extension of an anchor's file, `crt` or `pem`.
    pub extension: &'static str,
    /// The command that updates the store after an anchor was added.
    pub added: Vec<String>,
    /// The command that updates the store after an anchor was removed.
    pub removed: Vec<String>,
}

impl Family {
    /// The family of a host by its `/etc/os-release` (os-release(5)): that of `ID`, else that of the first known
    /// distribution in `ID_LIKE`; `None` when all are unknown.
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
            // update-ca-trust(8): it always extracts everything again.
            "fedora" | "rhel" | "centos" => {
                Some(family("/etc/pki/ca-trust/source/anchors", "pem", &fedora, &fedora))
            }
            "arch" => Some(family("/etc/ca-certificates/trust-source/anchors", "pem", &arch, &arch)),
            // update-ca-certificates(8) of openSUSE: it also extracts all of p11-kit's sources again.
            "suse" | "opensuse" | "sles" => {
                Some(family("/etc/pki/trust/anchors", "pem", &[debian], &[debian]))
            }
            _ => None,
        }
    }
}
