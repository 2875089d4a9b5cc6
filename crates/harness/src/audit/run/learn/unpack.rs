//! The content of compressed files: gzip, bzip2, xz, zstd, zlib and zip.

use std::io::{self, Cursor, Read, Seek};

use flate2::read::ZlibDecoder;
use niffler::basic::get_reader;
use tar::Archive;
use zip::ZipArchive;

/// The most bytes of a compressed file's content that are read: a small file can have any amount of it.
const LIMIT: u64 = 256 << 20;
/// The first bytes of compressed streams: gzip (RFC 1952), bzip2, xz and zstd (RFC 8878).
const STREAMS: [&[u8]; 4] = [b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd"];
/// The first bytes of a zip file (APPNOTE, 4.3.7).
const ZIP: &[u8] = b"PK\x03\x04";

/// Reads a file as it is and, if it is compressed, its content. Of a content that is damaged, the part before the damage is
/// read.
///
/// # Errors
/// The file itself cannot be read.
pub(super) fn read(
    mut file: impl Read + Seek,
    mut each: impl FnMut(&mut dyn Read) -> io::Result<()>,
) -> io::Result<()> {
    each(&mut file)?;
    file.rewind()?;
    let kind = kind(&beginning(&mut file)?);
    file.rewind()?;
    // An error of the content is no error of the file: any bytes may look like a compressed file.
    match kind {
        None => {}
        Some(Kind::Zip) => {
            let Ok(mut archive) = ZipArchive::new(&mut file) else { return Ok(()) };
            for place in 0..archive.len() {
                let _ = archive.by_index(place).map(|entry| each(&mut entry.take(LIMIT)));
            }
        }
        Some(Kind::Stream) => {
            // The reader wants an owner without borrows. Compressed files with keys are small.
            let mut packed = Vec::new();
            (&mut file).take(LIMIT).read_to_end(&mut packed)?;
            let content = get_reader(Box::new(Cursor::new(packed)));
            let _ = content.map(|(content, _)| each(&mut content.take(LIMIT)));
        }
        Some(Kind::Zlib) => drop(each(&mut ZlibDecoder::new(&mut file).take(LIMIT))),
    }
    Ok(())
}

/// Reads an archive of tar as it is, and the content of the compressed files in it.
///
/// # Errors
/// The archive itself cannot be read.
pub(super) fn read_archive(
    archive: &[u8],
    mut each: impl FnMut(&mut dyn Read) -> io::Result<()>,
) -> io::Result<()> {
    let mut whole = archive;
    each(&mut whole)?;
    let mut entries = Archive::new(archive);
    for mut entry in entries.entries()?.flatten() {
        let mut file = beginning(&mut entry)?;
        if kind(&file).is_some() {
            entry.take(LIMIT).read_to_end(&mut file)?;
            read(Cursor::new(file), &mut each)?;
        }
    }
    Ok(())
}

/// How a file is compressed.
enum Kind {
    /// gzip, bzip2, xz or zstd.
    Stream,
    Zip,
    Zlib,
}

/// How a file is compressed, by its first bytes; `None` if it is not. zlib's form has no mark but deflate as its method and a
/// check of the first two bytes (RFC 1950, section 2.2).
fn kind(beginning: &[u8]) -> Option<Kind> {
    let is_zlib = |first: u8, second: u8| {
        first & 0x0f == 8 && first >> 4 <= 7 && (u16::from(first) * 256 + u16::from(second)) % 31 == 0
    };
    match beginning {
        _ if beginning.starts_with(ZIP) => Some(Kind::Zip),
        _ if STREAMS.iter().any(|mark| beginning.starts_with(mark)) => Some(Kind::Stream),
        [first, second, ..] if is_zlib(*first, *second) => Some(Kind::Zlib),
        _ => None,
    }
}

/// The first bytes of a file.
fn beginning(file: impl Read) -> io::Result<Vec<u8>> {
    let mut beginning = Vec::new();
    file.take(6).read_to_end(&mut beginning)?;
    Ok(beginning)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::{GzEncoder, ZlibEncoder};
    use niffler::Level;
    use niffler::basic::get_writer;
    use niffler::compression::Format;

    use super::*;

    const SECRET: &[u8] = b"a key, and a key, and a key";

    /// Whether the secret is in a file or in its content.
    fn is_found(
        reading: impl FnOnce(&mut dyn FnMut(&mut dyn Read) -> io::Result<()>) -> io::Result<()>,
    ) -> bool {
        let mut found = false;
        reading(&mut |content| {
            let mut text = Vec::new();
            let read = content.read_to_end(&mut text);
            found |= text.windows(SECRET.len()).any(|part| part == SECRET);
            read.map(drop)
        })
        .unwrap();
        found
    }

    /// The secret in each form.
    fn packed() -> Vec<(&'static str, Vec<u8>)> {
        let mut all = Vec::new();
        for (name, format) in
            [("gzip", Format::Gzip), ("bzip2", Format::Bzip), ("xz", Format::Lzma), ("zstd", Format::Zstd)]
        {
            let mut bytes = Vec::new();
            get_writer(Box::new(&mut bytes), format, Level::One).unwrap().write_all(SECRET).unwrap();
            all.push((name, bytes));
        }
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
        zlib.write_all(SECRET).unwrap();
        all.push(("zlib", zlib.finish().unwrap()));
        let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
        zip.start_file("a", zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(SECRET).unwrap();
        all.push(("zip", zip.finish().unwrap().into_inner()));
        all
    }

    #[test]
    fn the_content_of_a_file_is_read_in_each_form_and_within_an_archive() {
        for (name, bytes) in packed() {
            assert!(!bytes.windows(SECRET.len()).any(|part| part == SECRET), "{name} hides it");
            assert!(is_found(|each| read(Cursor::new(&bytes), each)), "{name}");
            let mut archive = tar::Builder::new(Vec::new());
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            archive.append_data(&mut header, "run/a", bytes.as_slice()).unwrap();
            let archive = archive.into_inner().unwrap();
            assert!(is_found(|each| read_archive(&archive, each)), "{name} in an archive");
        }
        assert!(is_found(|each| read(Cursor::new(SECRET), each)));
    }

    #[test]
    fn a_damaged_file_is_read_up_to_the_damage_and_is_no_error() {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::none());
        gzip.write_all(SECRET).unwrap();
        let mut bytes = gzip.finish().unwrap();
        let end = bytes.len() - 4;
        bytes.truncate(end);
        assert!(is_found(|each| read(Cursor::new(&bytes), each)));
        for broken in [&b""[..], b"\x1f\x8bxx", b"PK\x03\x04nothing", b"\x78\x9cnothing", b"BZhnothing"] {
            assert!(!is_found(|each| read(Cursor::new(broken), each)), "{broken:?}");
        }
    }
}
