//! One block for each instance in a hosts file (hosts(5)). Lines outside the blocks are never changed.
//!
//! Contents are bytes, not text: /etc/hosts need not be UTF-8 or end with a line break. Next in the flow: `file` writes
//! the contents.

use std::net::Ipv4Addr;
use std::ops::Range;

use camino::Utf8Path;

use crate::files;
use crate::home::Home;
use crate::plan::InstanceId;
use crate::request::Label;

use super::{DnsError, Recorded, Records, file};

const BEGIN: &str = "# BEGIN ";
const END: &str = "# END ";
const NO_END: &str = "a homelab block begins here but has no end";
const NO_BEGIN: &str = "a homelab block ends here but has no beginning";
const ODD: &str = "the block differs from what homelab writes";

/// A block of any home, complete or damaged.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Block {
    id: InstanceId,
    /// Its lines, from 0, with both markers. Only the marker's line in a damaged block.
    lines: Range<usize>,
    /// What is wrong with the block. `None` if it is complete.
    damage: Option<&'static str>,
}

pub(super) fn add(path: &Utf8Path, labels: &[Label], records: &Records) -> Result<bool, DnsError> {
    let names = records.each(labels);
    file::edit(path, |before, path| {
        let hosts = Hosts::parse(before);
        hosts.refuse_damage(&records.id, path)?;
        hosts.refuse_taken(records, &names, path)?;
        Ok(hosts.with(&records.id, Some(&block(&records.id, &names))))
    })
}

pub(super) fn remove(home: &Home, path: &Utf8Path, instance: &str) -> Result<bool, DnsError> {
    match files::regular(path) {
        Err(error) if error.is_not_regular() => return Ok(false), // homelab never writes to such a file
        Err(error) => return Err(error.into()),
        Ok(None) => return Ok(false), // and do not make the file
        Ok(Some(_)) => {}
    }
    let id = InstanceId { home: home.id(), name: instance.to_owned() };
    file::edit(path, |before, path| {
        let hosts = Hosts::parse(before);
        hosts.refuse_damage(&id, path)?;
        Ok(hosts.with(&id, None))
    })
}

pub(super) fn list(home: &Home, path: &Utf8Path) -> Result<Vec<Recorded>, DnsError> {
    let contents = files::read(path)?.unwrap_or_default();
    let hosts = Hosts::parse(&contents);
    let ours = hosts.blocks.iter().filter(|block| block.id.home == home.id());
    Ok(ours.map(|block| hosts.recorded(block, path)).collect())
}

/// The text of a block. Pure.
fn block(id: &InstanceId, names: &[(String, Ipv4Addr)]) -> String {
    let scope = id.scope();
    let mut text = format!("{BEGIN}{scope}\n# Written by homelab; `homelab dns sync` writes it anew.\n");
    for (name, address) in names {
        text.push_str(&format!("{address} {name}\n"));
    }
    text + &format!("{END}{scope}\n")
}

/// A hosts file, line by line.
struct Hosts<'a> {
    lines: Vec<&'a [u8]>,
    blocks: Vec<Block>,
}

impl<'a> Hosts<'a> {
    fn parse(contents: &'a [u8]) -> Self {
        let lines: Vec<&[u8]> = contents.split_inclusive(|byte| *byte == b'\n').collect();
        let mut blocks = Vec::new();
        let damaged = |id, line, why| Block { id, lines: line..line + 1, damage: Some(why) };
        let mut open: Option<(InstanceId, usize)> = None;
        for (number, line) in lines.iter().enumerate() {
            if let Some(id) = marked(line, BEGIN) {
                blocks.extend(open.replace((id, number)).map(|(id, line)| damaged(id, line, NO_END)));
            } else if let Some(id) = marked(line, END) {
                match open.take() {
                    Some((begun, first)) if begun == id => {
                        blocks.push(Block { id, lines: first..number + 1, damage: None });
                    }
                    other => {
                        blocks.extend(other.map(|(id, line)| damaged(id, line, NO_END)));
                        blocks.push(damaged(id, number, NO_BEGIN));
                    }
                }
            }
        }
        blocks.extend(open.map(|(id, line)| damaged(id, line, NO_END)));
        Self { lines, blocks }
    }

    fn of<'b>(&'b self, id: &'b InstanceId) -> impl Iterator<Item = &'b Block> {
        self.blocks.iter().filter(move |block| block.id == *id)
    }

    /// The complete block that contains a line.
    fn around(&self, line: usize) -> Option<&Block> {
        self.blocks.iter().find(|block| block.damage.is_none() && block.lines.contains(&line))
    }

    /// Refuses a damaged block of this instance. A damaged block of another instance does not matter: a complete block
    /// contains no markers of other blocks.
    fn refuse_damage(&self, id: &InstanceId, path: &Utf8Path) -> Result<(), DnsError> {
        match self.of(id).find_map(|block| Some((block.lines.start + 1, block.damage?))) {
            Some((line, why)) => Err(DnsError::Damaged { path: path.to_owned(), line, why }),
            None => Ok(()),
        }
    }

    /// Refuses names that a line outside the instance's block maps to another address.
    fn refuse_taken(
        &self,
        records: &Records,
        names: &[(String, Ipv4Addr)],
        path: &Utf8Path,
    ) -> Result<(), DnsError> {
        for (number, line) in self.lines.iter().enumerate() {
            let around = self.around(number);
            if around.is_some_and(|block| block.id == records.id) {
                continue;
            }
            let (address, theirs) = mapping(line);
            let Some((name, own)) = names.iter().find(|(name, _)| theirs.contains(name)) else { continue };
            let (path, line) = (path.to_owned(), number + 1);
            if let Some(block) = around {
                let holder = Some(block.id.clone());
                return Err(DnsError::Claimed { suffix: records.suffix.clone(), holder, path, line });
            }
            if address.parse() != Ok(*own) {
                return Err(DnsError::Taken { name: name.clone(), path, line, address });
            }
        }
        Ok(())
    }

    /// The contents with the instance's block replaced by `block`, or removed if that is `None`.
    fn with(&self, id: &InstanceId, block: Option<&str>) -> Vec<u8> {
        let place = self.of(id).next().map_or_else(|| self.end(), |block| block.lines.start);
        let mut contents = Vec::new();
        for number in 0..=self.lines.len() {
            if let Some(block) = block.filter(|_| number == place) {
                if contents.last().is_some_and(|byte| *byte != b'\n') {
                    contents.push(b'\n'); // another block ends the file without a line break
                }
                contents.extend_from_slice(block.as_bytes());
            }
            if !self.of(id).any(|block| block.lines.contains(&number)) {
                contents.extend_from_slice(self.lines.get(number).copied().unwrap_or_default());
            }
        }
        contents
    }

    /// The line number for a new block: the end of the file, or before a last line that is not ours and has no line
    /// break, so that this line is not changed.
    fn end(&self) -> usize {
        let count = self.lines.len();
        let is_open = self.lines.last().is_some_and(|line| !line.ends_with(b"\n"));
        if is_open && self.around(count - 1).is_none() { count - 1 } else { count }
    }

    fn recorded(&self, block: &Block, path: &Utf8Path) -> Recorded {
        let place = format!("{path}:{}", block.lines.start + 1);
        let names = self.lines[block.lines.clone()].iter().flat_map(|line| {
            let (address, names) = mapping(line);
            let address = address.parse::<Ipv4Addr>().ok();
            names.into_iter().filter_map(move |name| Some((name, address?)))
        });
        match (block.damage, Records::found(&block.id, &names.collect::<Vec<_>>())) {
            (None, Some(records)) => Recorded::Sound { records, place },
            (damage, _) => {
                Recorded::Damaged { instance: block.id.name.clone(), place, why: damage.unwrap_or(ODD) }
            }
        }
    }
}

/// The instance named in a line that begins or ends a block. `None` for other lines.
fn marked(line: &[u8], marker: &str) -> Option<InstanceId> {
    InstanceId::of_scope(std::str::from_utf8(line).ok()?.trim_end().strip_prefix(marker)?)
}

/// A line's address and the names that it maps to it, in lower case. Empty for a comment.
fn mapping(line: &[u8]) -> (String, Vec<String>) {
    let text = String::from_utf8_lossy(line);
    let mut words = text.split('#').next().unwrap_or_default().split_whitespace();
    let address = words.next().unwrap_or_default().to_owned();
    (address, words.map(|name| name.trim_end_matches('.').to_ascii_lowercase()).collect())
}
