//! One entry of the exported file: the properties of an artefact's file, and their checksum. Pure.

use std::fmt::Write;

use sha2::{Digest, Sha256};

use crate::digest::digest_of;

/// The type of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Form {
    /// A folder.
    Folder,
    /// A regular file.
    File,
    /// A hard link to a regular file earlier in the archive, by that file's path in the archive.
    Twin(String),
    /// A symbolic link with its target, which need not exist.
    Link(String),
    /// A character device with its major and minor number.
    Device(u32, u32),
}

/// The properties of a file, without its contents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// The path in the archive: `root/usr/bin/env`.
    pub(super) path: String,
    pub(super) form: Form,
    pub(super) mode: u32,
    pub(super) uid: u64,
    pub(super) gid: u64,
    /// The modification time, in seconds since 1970.
    pub(super) modified: u64,
    /// Extended attributes, as names with values in hex. Among them are file capabilities.
    pub(super) attributes: Vec<(String, String)>,
}

/// Prefix of the pax records with extended attributes: `HOMELAB.xattr.security.capability`. Values are in hex, because
/// the value of a pax record is a line.
pub(super) const ATTRIBUTE: &str = "HOMELAB.xattr.";

impl Entry {
    /// The checksum of all properties, given that of the contents.
    pub(super) fn checksum(&self, contents: &str) -> String {
        let form = match &self.form {
            Form::Folder => "folder".to_owned(),
            Form::File => "file".to_owned(),
            Form::Twin(of) => format!("twin {of}"),
            Form::Link(to) => format!("link {to}"),
            Form::Device(major, minor) => format!("device {major} {minor}"),
        };
        let owner = format!("{:o} {} {} {}", self.mode, self.uid, self.gid, self.modified);
        let attributes = self.attributes.iter().flat_map(|(name, value)| [name.as_str(), value.as_str()]);
        digest_of([self.path.as_str(), &form, &owner, contents].into_iter().chain(attributes))
    }
}

/// Formats a line of the list.
pub(super) fn line(checksum: &str, path: &str) -> String {
    format!("{checksum}  {path}\n")
}

/// Parses a line of the list into checksum and path.
pub(super) fn parsed(line: &str) -> Option<(&str, &str)> {
    let (checksum, path) = line.split_once("  ")?;
    (checksum.len() == 64).then_some((checksum, path))
}

/// Encodes bytes in hex.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Decodes bytes from hex.
pub(super) fn unhex(text: &str) -> Option<Vec<u8>> {
    let pairs = (0..text.len()).step_by(2).map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok());
    pairs.collect()
}

/// The finished SHA-256, in hex.
pub(super) fn finished(hash: Sha256) -> String {
    hex(&hash.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> Entry {
        Entry {
            path: "root/bin/ping".to_owned(),
            form: Form::File,
            mode: 0o755,
            uid: 0,
            gid: 0,
            modified: 1_700_000_000,
            attributes: vec![("security.capability".to_owned(), "0100000200200000".to_owned())],
        }
    }

    #[test]
    fn each_exported_property_of_a_file_is_in_its_checksum() {
        let same = entry().checksum("c0ffee");
        assert_eq!(entry().checksum("c0ffee"), same);
        let changed = [
            Entry { path: "root/bin/pong".to_owned(), ..entry() },
            Entry { form: Form::Folder, ..entry() },
            Entry { form: Form::Twin("root/bin/ping6".to_owned()), ..entry() },
            Entry { form: Form::Link("root/bin/ping6".to_owned()), ..entry() },
            Entry { form: Form::Device(1, 3), ..entry() },
            Entry { mode: 0o4755, ..entry() },
            Entry { uid: 1, ..entry() },
            Entry { gid: 1, ..entry() },
            Entry { modified: 1, ..entry() },
            Entry { attributes: Vec::new(), ..entry() },
        ];
        for other in changed {
            assert_ne!(other.checksum("c0ffee"), same, "{other:?}");
        }
        assert_ne!(entry().checksum("decaf"), same);
    }

    #[test]
    fn bytes_survive_being_written_as_hex_also_line_breaks() {
        let bytes = [0, 10, 13, 61, 255];
        assert_eq!(hex(&bytes), "000a0d3dff");
        assert_eq!(unhex("000a0d3dff").as_deref(), Some(bytes.as_slice()));
        assert_eq!([unhex("0"), unhex("zz"), unhex("ää")], [None, None, None]);
    }

    #[test]
    fn a_path_may_hold_blanks_and_a_line_without_a_checksum_is_none() {
        let sum = "0".repeat(64);
        assert_eq!(parsed(line(&sum, "root/a  b").trim_end_matches('\n')), Some((&*sum, "root/a  b")));
        assert_eq!(parsed("c0ffee  root/a"), None);
        assert_eq!(parsed(""), None);
    }
}
