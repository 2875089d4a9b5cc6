//! Edits of a kubeconfig's text, line by line. Pure.
//!
//! Supports only the block style that kubectl and most users write, and returns `None` for all others.

use std::ops::Range;

use serde_json::{Value, json};

use super::document::rendered;

/// The comment after the key of a list that homelab has added. Such a list is removed with its last item.
const ADDED: &str = "# added by homelab";

/// A text whose lines are edited without a full parser. The caller must check the result.
pub(super) struct Lines<'a>(pub(super) &'a str);

/// A top-level list in block style: the line number of its key, and the line numbers of each item.
struct List {
    key: usize,
    /// The comment on the key's line, with the line ending.
    comment: String,
    items: Vec<Range<usize>>,
    indent: usize,
}

impl Lines<'_> {
    fn lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.0.split_inclusive('\n').map(str::to_owned).collect();
        if let Some(last) = lines.last_mut().filter(|last| !last.ends_with('\n')) {
            last.push_str(self.end());
        }
        lines
    }

    /// The line ending of the text: that of its first line.
    fn end(&self) -> &'static str {
        match self.0.split_inclusive('\n').next() {
            Some(line) if line.ends_with("\r\n") => "\r\n",
            _ => "\n",
        }
    }

    /// Joins edited lines. The last line has a line ending only if the text had one.
    fn joined(&self, lines: &[String]) -> String {
        let mut text = lines.concat();
        if !self.0.is_empty() && !self.0.ends_with('\n') {
            text.truncate(text.trim_end_matches(['\r', '\n']).len());
        }
        text
    }

    /// The text with an item replaced, or removed if `item` is `None`. `None` if the list is not in block style with
    /// `count` items.
    pub(super) fn replaced(
        &self,
        key: &str,
        count: usize,
        place: usize,
        item: Option<&Value>,
    ) -> Option<String> {
        let mut lines = self.lines();
        let list = List::find(&lines, key).filter(|list| list.items.len() == count)?;
        let new = item.map(|item| self.indented(item, list.indent));
        if new.is_none() && count == 1 {
            lines[list.key] = format!("{key}: []{}", list.comment);
        }
        lines.splice(list.items.get(place)?.clone(), new);
        Some(self.joined(&lines))
    }

    /// The text with an item appended. `None` if the list exists but is not in block style with `count` items.
    pub(super) fn appended(&self, key: &str, count: usize, item: &Value) -> Option<String> {
        let mut lines = self.lines();
        match List::find(&lines, key) {
            Some(list) if list.items.len() == count => {
                let end = list.items.last().map_or(list.key + 1, |last| last.end);
                if count == 0 {
                    lines[list.key] = format!("{key}:{}", list.comment);
                }
                lines.insert(end, self.indented(item, list.indent));
            }
            None if !lines.iter().any(|line| after(line, key).is_some()) => {
                lines.push(format!("{key}: {ADDED}{}{}", self.end(), self.indented(item, 0)));
            }
            _ => return None,
        }
        Some(self.joined(&lines))
    }

    /// The text without a list that homelab has added and that has one item. `None` for all other lists.
    pub(super) fn without_list(&self, key: &str, count: usize) -> Option<String> {
        let mut lines = self.lines();
        let list = List::find(&lines, key).filter(|list| list.items.len() == count)?;
        let [item] = &list.items[..] else { return None };
        if list.comment.trim() != ADDED {
            return None;
        }
        lines.drain(item.clone());
        lines.remove(list.key);
        Some(self.joined(&lines))
    }

    /// The text with the line `key: value`, added or changed. A comment on that line stays.
    pub(super) fn with_line(&self, key: &str, value: &Value) -> String {
        let mut lines = self.lines();
        let line = rendered(&json!({ key: value })).trim_end().to_owned();
        let old = lines.iter_mut().find_map(|line| {
            let comment = comment(after(line, key)?).to_owned();
            Some((line, comment))
        });
        match old {
            Some((old, comment)) => *old = line + &comment,
            None => lines.push(line + self.end()),
        }
        self.joined(&lines)
    }

    /// An item of a block list, indented by this many columns.
    fn indented(&self, item: &Value, indent: usize) -> String {
        let (margin, end) = (" ".repeat(indent), self.end());
        rendered(&[item]).lines().map(|line| format!("{margin}{line}{end}")).collect()
    }
}

/// What follows `key:` on a line of the top level. `None` if the line has another key: `clusters:a` is one without a
/// value (YAML 1.2.2, 7.3.3: in a plain key, `:` is an indicator only before white space).
fn after<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    let rest = line.strip_prefix(key)?.strip_prefix(':')?;
    (rest.is_empty() || rest.starts_with(char::is_whitespace)).then_some(rest)
}

/// Whether a line begins an item of a list: `-x` is a plain value (YAML 1.2.2, 7.3.3: `-` is an indicator only before
/// white space).
fn begins_item(line: &str) -> bool {
    line.strip_prefix('-').is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace))
}

/// The end of a line, from the blank before its comment, or from the line ending if it has no comment.
fn comment(rest: &str) -> &str {
    let value = quoted(rest);
    let behind = &rest[value..];
    let end = behind.find(" #").or_else(|| behind.find("\t#")).unwrap_or(behind.trim_end().len());
    &rest[rest[..value + end].trim_end().len()..]
}

/// The length of a quoted value at the beginning of a text, with the quotes. 0 if the text has none.
fn quoted(text: &str) -> usize {
    let bytes = text.as_bytes();
    let Some(start) = bytes.iter().position(|byte| !byte.is_ascii_whitespace()) else { return 0 };
    let quote = bytes[start];
    if !matches!(quote, b'\'' | b'"') {
        return 0;
    }
    let mut at = start + 1;
    while at < bytes.len() {
        match (bytes[at], bytes.get(at + 1)) {
            // Escaped quotes: `\"` within double quotes, `''` within single quotes.
            (b'\\', _) if quote == b'"' => at += 2,
            (b'\'', Some(b'\'')) if quote == b'\'' => at += 2,
            (byte, _) if byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    0
}

impl List {
    fn find(lines: &[String], wanted: &str) -> Option<Self> {
        let (key, comment) = lines.iter().enumerate().find_map(|(place, line)| {
            let rest = after(line, wanted)?;
            let comment = comment(rest);
            let text = &rest[..rest.len() - comment.len()];
            matches!(text.trim(), "" | "[]" | "null" | "~").then(|| (place, comment.to_owned()))
        })?;
        let top_level =
            |line: &String| !line.starts_with(|c: char| c.is_whitespace() || c == '#') && !begins_item(line);
        let end = (key + 1..lines.len()).find(|&i| top_level(&lines[i])).unwrap_or(lines.len());
        let says_nothing = |i: usize| lines[i].trim().is_empty() || lines[i].trim_start().starts_with('#');
        let Some(first) = (key + 1..end).find(|&i| !says_nothing(i)) else {
            return Some(Self { key, comment, items: Vec::new(), indent: 0 });
        };
        let indent = lines[first].len() - lines[first].trim_start_matches(' ').len();
        let starts: Vec<usize> = (first..end)
            .filter(|&i| {
                lines[i][..]
                    .get(indent..)
                    .is_some_and(|rest| begins_item(rest) && lines[i][..indent].trim().is_empty())
            })
            .collect();
        let items = starts.iter().enumerate().map(|(i, &start)| {
            // Comments after an item belong to the next item.
            let mut stop = starts.get(i + 1).copied().unwrap_or(end);
            while stop > start + 1 && says_nothing(stop - 1) {
                stop -= 1;
            }
            start..stop
        });
        Some(Self { key, comment, items: items.collect(), indent })
    }
}
