//! Reads an exported file. No artefact gets its final name before all checksums were compared.

use std::io::{self, BufRead, BufReader, Read};
use std::time::Instant;

use camino::Utf8PathBuf;
use flate2::bufread::GzDecoder;
use sha2::{Digest, Sha256};
use tar::Archive;

use crate::assets::recipe::{Part, Recipe};
use crate::events::{Event, Events};
use crate::request::Provider;

use super::entry::finished;
use super::unpack::Unpacking;
use super::{ArchiveError, FORMAT, HEADER, Header, LIST, Stop, failed, header};

/// The longest header or list that is read, in bytes: far longer than any that is exported.
const TEXT: u64 = 64 << 20;

type Stream = GzDecoder<BufReader<Box<dyn Read + Send>>>;

/// A file whose header was read.
pub(super) struct Reading {
    stream: Stream,
    file: String,
    header: Header,
    checksum: String,
}

impl Reading {
    /// Reads the header.
    pub(super) fn begin(from: Box<dyn Read + Send>, file: String) -> Result<Self, ArchiveError> {
        let foreign = |why: String| ArchiveError::Foreign { file: file.clone(), why };
        let damaged = |source| ArchiveError::Damaged { file: file.clone(), entry: HEADER.to_owned(), source };
        let mut from = BufReader::with_capacity(1 << 20, from);
        match from.fill_buf().map_err(failed("read", &file))? {
            [] => return Err(foreign("it is empty".to_owned())),
            [0x1f, 0x8b, ..] => {}
            _ => return Err(foreign("it is not gzipped".to_owned())),
        }
        let mut stream = GzDecoder::new(from);
        let mut text = String::new();
        {
            let mut archive = Archive::new(&mut stream);
            let first = archive.entries().map_err(damaged)?.next();
            let first = first.ok_or_else(|| foreign("there is nothing in it".to_owned()))?;
            let mut first = first.map_err(|error| match error.kind() {
                io::ErrorKind::Other => foreign(error.to_string()),
                _ => damaged(error),
            })?;
            if first.path_bytes() != HEADER.as_bytes() {
                let name = String::from_utf8_lossy(&first.path_bytes()).into_owned();
                return Err(foreign(format!("it begins with {name}")));
            }
            (&mut first).take(TEXT).read_to_string(&mut text).map_err(damaged)?;
        }
        // The next entry begins with the next block.
        let padding = text.len().next_multiple_of(512) - text.len();
        stream.read_exact(&mut [0; 512][..padding]).map_err(damaged)?;
        let json: serde_json::Value =
            serde_json::from_str(&text).map_err(|error| foreign(format!("its header: {error}")))?;
        let found = json.get("format").and_then(serde_json::Value::as_u64).unwrap_or_default();
        if found != u64::from(FORMAT) {
            let theirs = json.get("homelab").and_then(|text| text.as_str()).unwrap_or("?").to_owned();
            let found = u32::try_from(found).unwrap_or_default();
            return Err(ArchiveError::Format { file, found, theirs });
        }
        let header = serde_json::from_value(json).map_err(|error| foreign(format!("its header: {error}")))?;
        Ok(Self { stream, header, checksum: finished(Sha256::new_with_prefix(&text)), file })
    }

    /// The recipe of the file, which must be one of this program, and the provider of its box.
    pub(super) fn recipe(&self) -> Result<(&'static Recipe, Option<Provider>), ArchiveError> {
        let (file, theirs) = (self.file.clone(), self.header.homelab.clone());
        if self.header.architecture != std::env::consts::ARCH {
            return Err(ArchiveError::Architecture { file, theirs: self.header.architecture.clone() });
        }
        let provider = self.header.provider.as_deref();
        let provider = provider.and_then(|name| Provider::ALL.into_iter().find(|it| it.as_str() == name));
        let named = |kind: &str, digest: &str| format!("{kind}/{}", digest.get(..16).unwrap_or(digest));
        let Ok(recipe) = Recipe::of(&self.header.kubernetes) else {
            let has = format!("nodes of Kubernetes {}", self.header.kubernetes);
            let needs = format!("one of {}", crate::request::KUBERNETES_VERSIONS.join(", "));
            return Err(ArchiveError::Recipe { file, theirs, has, needs });
        };
        let wanted = header(recipe, provider);
        for (at, needed) in wanted.parts.iter().enumerate() {
            let found = self.header.parts.get(at);
            if found.is_none_or(|part| (&part.kind, &part.digest) != (&needed.kind, &needed.digest)) {
                let has = found.map_or("nothing".to_owned(), |part| named(&part.kind, &part.digest));
                let needs = named(&needed.kind, &needed.digest);
                return Err(ArchiveError::Recipe { file, theirs, has, needs });
            }
        }
        match self.header.parts.get(wanted.parts.len()) {
            Some(extra) => Err(ArchiveError::Extra { file, entry: named(&extra.kind, &extra.digest) }),
            None => Ok((recipe, provider)),
        }
    }

    /// The size of all files' contents in bytes, according to the header.
    pub(super) fn bytes(&self) -> u64 {
        self.header.parts.iter().fold(0, |sum, part| sum.saturating_add(part.bytes))
    }

    /// Unpacks each part into its folder, and compares all checksums. A part without a folder is only checked.
    pub(super) fn unpack(
        self,
        folders: &[(Part, Option<Utf8PathBuf>)],
        events: &Events,
        stop: &Stop,
    ) -> Result<(), ArchiveError> {
        let file = self.file.clone();
        let mut last = HEADER.to_owned();
        let damaged = |entry: &str, source| ArchiveError::Damaged {
            file: file.clone(),
            entry: entry.to_owned(),
            source,
        };
        let mut unpacking = Unpacking::begin(&self.file, self.checksum, folders, stop);
        let mut step = Step { events, folders, at: None };
        let mut archive = Archive::new(self.stream);
        let mut list = None;
        for entry in archive.entries().map_err(|error| damaged(&last, error))? {
            stop.check()?;
            let mut entry = entry.map_err(|error| damaged(&last, error))?;
            let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            last.clone_from(&name);
            if list.is_some() {
                return Err(ArchiveError::Extra { file, entry: name });
            }
            if name == LIST {
                let mut text = String::new();
                (&mut entry).take(TEXT).read_to_string(&mut text).map_err(|error| damaged(LIST, error))?;
                list = Some(text);
                continue;
            }
            step.is_at(name.split('/').next().unwrap_or_default());
            unpacking.entry(&mut entry, name)?;
        }
        step.end();
        // Bytes after the end of the tar or of the gzip data were not exported, so they are an error. Reading to the
        // end also compares gzip's own checksum.
        let mut stream = archive.into_inner();
        let mut rest = Vec::new();
        stream.by_ref().take(1 << 20).read_to_end(&mut rest).map_err(|error| damaged(&last, error))?;
        let mut behind = stream.into_inner();
        let is_end = behind.fill_buf().map_err(failed("read", &file))?.is_empty();
        let Some(list) = list else {
            return Err(ArchiveError::Missing { file, entry: LIST.to_owned() });
        };
        if rest.iter().any(|byte| *byte != 0) || rest.len() == 1 << 20 || !is_end {
            return Err(ArchiveError::Extra { file, entry: "bytes after the end".to_owned() });
        }
        unpacking.compare(&list)?;
        unpacking.settle()
    }
}

/// Publishes the beginning and the end of each artefact.
struct Step<'a> {
    events: &'a Events,
    folders: &'a [(Part, Option<Utf8PathBuf>)],
    at: Option<(usize, Instant)>,
}

impl Step<'_> {
    fn is_at(&mut self, kind: &str) {
        let Some(at) = self.folders.iter().position(|(part, _)| part.kind.as_str() == kind) else { return };
        if self.at.is_some_and(|(before, _)| before == at) {
            return;
        }
        self.end();
        self.at = Some((at, Instant::now()));
        let asset = self.asset(at);
        self.events.publish(Event::AssetStarted { asset, step: at + 1, of: self.folders.len() });
    }

    fn end(&mut self) {
        let Some((at, started)) = self.at.take() else { return };
        let (asset, of) = (self.asset(at), self.folders.len());
        let (took, cached) = (started.elapsed(), self.folders[at].1.is_none());
        self.events.publish(Event::AssetCompleted { asset, step: at + 1, of, took, cached });
    }

    fn asset(&self, at: usize) -> String {
        format!("unpack the {}", self.folders[at].0.kind.title())
    }
}
