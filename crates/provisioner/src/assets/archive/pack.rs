//! Writes artefacts to one file.

use std::collections::HashMap;
use std::fs::{self, File, Metadata};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::time::Instant;

use camino::{Utf8Path, Utf8PathBuf};
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};
use tar::{Builder, EntryType};

use crate::assets::recipe::{Kind, Part};
use crate::events::{Event, Events};

use super::entry::{ATTRIBUTE, Entry, Form, finished, hex, line};
use super::{ArchiveError, Exported, HEADER, Header, LIST, Output, Stop, failed};

/// Files of a box that an import makes again (`boxes::seal`): one has the path of the cache, the other is a copy of the
/// disk.
const REMADE: [&str; 2] = ["box.json", "node.box"];

/// An export.
pub(super) struct Job {
    /// The artefacts and their folders.
    pub(super) parts: Vec<(Part, Utf8PathBuf)>,
    pub(super) header: Header,
    pub(super) events: Events,
}

impl Job {
    pub(super) fn run(self, to: Output, stop: &Stop) -> Result<Exported, ArchiveError> {
        match to {
            Output::Stream(stream) => Ok(self.write(stream, "standard output", stop)?.1),
            Output::File(path) => {
                let folder = path.parent().filter(|folder| !folder.as_str().is_empty());
                let folder = folder.unwrap_or(Utf8Path::new("."));
                let is_other = |meta: Metadata| !meta.is_file();
                if fs::symlink_metadata(&path).is_ok_and(is_other) {
                    let source = io::Error::new(io::ErrorKind::AlreadyExists, "it is not a regular file");
                    return Err(failed("replace", &path)(source));
                }
                let half = tempfile::Builder::new().prefix(".homelab-export.").tempfile_in(folder);
                let half = half.map_err(failed("write in", folder))?;
                let (half, exported) = self.write(half, path.as_str(), stop)?;
                half.as_file().sync_all().map_err(failed("write", &path))?;
                half.persist(&path).map_err(|error| failed("write", &path)(error.error))?;
                Ok(exported)
            }
        }
    }

    /// Writes everything; returns the stream.
    fn write<W: Write>(mut self, to: W, name: &str, stop: &Stop) -> Result<(W, Exported), ArchiveError> {
        let mut found = Vec::new();
        for (at, (part, folder)) in self.parts.iter().enumerate() {
            let files = walk(part, folder)?;
            self.header.parts[at].bytes = files.iter().map(|file| file.bytes).sum();
            found.push(files);
        }
        let out = Counting { to: BufWriter::with_capacity(1 << 20, to), bytes: 0, hash: Sha256::new() };
        let mut pack = Pack {
            // The fastest level: higher levels take minutes and save a tenth of the size.
            tar: Builder::new(GzEncoder::new(out, Compression::fast())),
            list: String::new(),
            name: name.to_owned(),
        };
        pack.header(&self.header)?;
        for (at, ((part, _), files)) in self.parts.iter().zip(&found).enumerate() {
            let (step, of) = (at + 1, self.parts.len());
            let asset = format!("pack the {}", part.kind.title());
            self.events.publish(Event::AssetStarted { asset: asset.clone(), step, of });
            let started = Instant::now();
            for file in files {
                pack.file(file, stop)?;
            }
            let took = started.elapsed();
            self.events.publish(Event::AssetCompleted { asset, step, of, took, cached: false });
        }
        let (to, bytes, sha256) = pack.end()?;
        let parts = self.parts.iter().map(|(part, _)| part.to_string()).collect();
        Ok((to, Exported { bytes, sha256, parts }))
    }
}

/// A file of an artefact.
struct Found {
    entry: Entry,
    /// Its path on this host.
    source: Utf8PathBuf,
    /// The size of its contents in the archive, in bytes; 0 for anything but a regular file.
    bytes: u64,
}

/// All files of an artefact, a folder before its contents, always in the same order.
fn walk(part: &Part, folder: &Utf8Path) -> Result<Vec<Found>, ArchiveError> {
    let mut found = Vec::new();
    let mut twins = HashMap::new();
    descend(folder, part.kind.as_str(), &mut twins, &mut found)?;
    if part.kind == Kind::Boxes {
        found.retain(|file| file.source.file_name().is_none_or(|name| !REMADE.contains(&name)));
    }
    Ok(found)
}

fn descend(
    source: &Utf8Path,
    path: &str,
    twins: &mut HashMap<(u64, u64), String>,
    found: &mut Vec<Found>,
) -> Result<(), ArchiveError> {
    let meta = fs::symlink_metadata(source).map_err(failed("read", source))?;
    let form = form(source, path, &meta, twins)?;
    let is_folder = form == Form::Folder;
    let bytes = if form == Form::File { meta.len() } else { 0 };
    let entry = Entry {
        path: path.to_owned(),
        mode: meta.mode() & 0o7777,
        uid: meta.uid().into(),
        gid: meta.gid().into(),
        modified: u64::try_from(meta.mtime()).unwrap_or_default(),
        attributes: if matches!(form, Form::Folder | Form::File) { attributes(source)? } else { Vec::new() },
        form,
    };
    found.push(Found { entry, source: source.to_owned(), bytes });
    if is_folder {
        let entries = source.read_dir_utf8().map_err(failed("read", source))?;
        let mut names = entries
            .map(|entry| Ok(entry?.file_name().to_owned()))
            .collect::<io::Result<Vec<String>>>()
            .map_err(failed("read", source))?;
        names.sort();
        for name in names {
            descend(&source.join(&name), &format!("{path}/{name}"), twins, found)?;
        }
    }
    Ok(())
}

fn form(
    source: &Utf8Path,
    path: &str,
    meta: &Metadata,
    twins: &mut HashMap<(u64, u64), String>,
) -> Result<Form, ArchiveError> {
    let kind = meta.file_type();
    Ok(match () {
        () if kind.is_dir() => Form::Folder,
        () if kind.is_symlink() => {
            Form::Link(source.read_link_utf8().map_err(failed("read", source))?.into())
        }
        () if kind.is_char_device() => {
            Form::Device(rustix::fs::major(meta.rdev()), rustix::fs::minor(meta.rdev()))
        }
        () if kind.is_file() => match twins.get(&(meta.dev(), meta.ino())) {
            Some(of) if meta.nlink() > 1 => Form::Twin(of.clone()),
            _ => {
                twins.insert((meta.dev(), meta.ino()), path.to_owned());
                Form::File
            }
        },
        () => {
            let source_error =
                io::Error::new(io::ErrorKind::Unsupported, "it is a socket, a pipe or a block device");
            return Err(failed("export", source)(source_error));
        }
    })
}

/// The extended attributes of a file, sorted by name, with values in hex.
fn attributes(source: &Utf8Path) -> Result<Vec<(String, String)>, ArchiveError> {
    let failed = |error: rustix::io::Errno| failed("read the attributes of", source)(error.into());
    let mut names = [0_u8; 4096];
    let length = match rustix::fs::llistxattr(source.as_std_path(), &mut names) {
        Err(rustix::io::Errno::OPNOTSUPP) => 0,
        length => length.map_err(failed)?,
    };
    let mut found = Vec::new();
    for name in names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let name = String::from_utf8_lossy(name).into_owned();
        let mut value = [0_u8; 65536];
        let length =
            rustix::fs::lgetxattr(source.as_std_path(), name.as_str(), &mut value).map_err(failed)?;
        found.push((name, hex(&value[..length])));
    }
    found.sort();
    Ok(found)
}

/// The file that is being written.
struct Pack<W: Write> {
    tar: Builder<GzEncoder<Counting<BufWriter<W>>>>,
    list: String,
    name: String,
}

impl<W: Write> Pack<W> {
    fn header(&mut self, header: &Header) -> Result<(), ArchiveError> {
        let text = serde_json::to_string_pretty(header).expect("keys of a header are strings");
        self.text(HEADER, &text)?;
        self.list.push_str(&line(&finished(Sha256::new_with_prefix(&text)), HEADER));
        Ok(())
    }

    /// Writes an entry of homelab's own: the header or the list.
    fn text(&mut self, path: &str, text: &str) -> Result<(), ArchiveError> {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        self.tar.append_data(&mut header, path, text.as_bytes()).map_err(failed("write", &self.name))
    }

    fn file(&mut self, file: &Found, stop: &Stop) -> Result<(), ArchiveError> {
        stop.check()?;
        let Found { entry, source, bytes } = file;
        let mut header = tar::Header::new_gnu();
        header.set_mode(entry.mode);
        header.set_uid(entry.uid);
        header.set_gid(entry.gid);
        header.set_mtime(entry.modified);
        header.set_size(*bytes);
        header.set_entry_type(match entry.form {
            Form::Folder => EntryType::Directory,
            Form::File => EntryType::Regular,
            Form::Twin(_) => EntryType::Link,
            Form::Link(_) => EntryType::Symlink,
            Form::Device(..) => EntryType::Char,
        });
        let attributes = entry.attributes.iter();
        let mut records: Vec<(String, &[u8])> =
            attributes.map(|(name, value)| (format!("{ATTRIBUTE}{name}"), value.as_bytes())).collect();
        match &entry.form {
            // Set literally, because the crate's other function normalises the path.
            Form::Twin(to) | Form::Link(to) if header.set_link_name_literal(to).is_err() => {
                records.push(("linkpath".to_owned(), to.as_bytes()));
            }
            Form::Device(major, minor) => {
                let numbers = header.set_device_major(*major).and_then(|()| header.set_device_minor(*minor));
                numbers.map_err(failed("write", &self.name))?;
            }
            _ => {}
        }
        let records = records.iter().map(|(key, value)| (key.as_str(), *value));
        self.tar.append_pax_extensions(records).map_err(failed("write", &self.name))?;
        let path = &entry.path;
        let contents = if entry.form == Form::File {
            let opened = File::open(source).map_err(failed("read", source))?;
            let mut reading = Hashing { from: opened.take(*bytes), hash: Sha256::new(), stop };
            let appended = self.tar.append_data(&mut header, path, &mut reading);
            stop.check()?;
            appended.map_err(failed("write", &self.name))?;
            finished(reading.hash)
        } else {
            self.tar.append_data(&mut header, path, io::empty()).map_err(failed("write", &self.name))?;
            finished(Sha256::new())
        };
        self.list.push_str(&line(&entry.checksum(&contents), path));
        Ok(())
    }

    /// Writes the list and the end. Returns the stream, the number of bytes written, and their SHA-256.
    fn end(mut self) -> Result<(W, u64, String), ArchiveError> {
        let list = std::mem::take(&mut self.list);
        self.text(LIST, &list)?;
        let name = self.name.clone();
        let ended = self.tar.into_inner().and_then(GzEncoder::finish);
        let counting = ended.map_err(failed("write", &name))?;
        let (bytes, hash) = (counting.bytes, counting.hash);
        let to = counting.to.into_inner().map_err(|error| failed("write", &name)(error.into_error()))?;
        Ok((to, bytes, finished(hash)))
    }
}

/// A reader that computes the checksum of the bytes that were read.
struct Hashing<'a, R> {
    from: R,
    hash: Sha256,
    stop: &'a Stop,
}

impl<R: Read> Read for Hashing<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.stop.check().map_err(io::Error::other)?;
        let length = self.from.read(into)?;
        self.hash.update(&into[..length]);
        Ok(length)
    }
}

/// A writer that computes number and checksum of the bytes that were written.
struct Counting<W> {
    to: W,
    bytes: u64,
    hash: Sha256,
}

impl<W: Write> Write for Counting<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = self.to.write(bytes)?;
        self.hash.update(&bytes[..length]);
        self.bytes += length as u64;
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}
