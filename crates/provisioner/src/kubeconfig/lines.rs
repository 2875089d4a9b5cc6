//! Edits of a kubeconfig's text, line by line. Pure.
//!
//! It knows the block style that kubectl writes and most people do, and gives up on everything else.

use std::ops::Range;

use serde_json::{Value, json};

use super::document::rendered;

/// A text whose lines are edited without understanding all of it: what comes out must be checked.
pub(super) struct Lines<'a>(pub(super) &'a str);

/// A top-level list in block style: its key's line, and those of each item.
struct List {
    key: usize,
    /// What follows on that line, with the line's end.
    comment: String,
    items: Vec<Range<usize>>,
    indent: usize,
}

impl Lines<'_> {
    fn lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.0.split_inclusive('\n').map(str::to_owned).collect();
        if let Some(last) = lines.last_mut().filter(|last| !last.ends_with('\n')) {
            last.push('\n');
        }
        lines
    }

    /// The text with an item replaced, or removed; nothing when the list is not found as it must be.
    pub(super) fn replaced(
        &self,
        key: &str,
        count: usize,
        place: usize,
        item: Option<&Value>,
    ) -> Option<String> {
        let mut lines = self.lines();
        let list = List::find(&lines, key).filter(|list| list.items.len() == count)?;
        let new = item.map(|item| indented(item, list.indent));
        if new.is_none() && count == 1 {
            lines[list.key] = format!("{key}: []{}", list.comment);
        }
        lines.splice(list.items.get(place)?.clone(), new);
        Some(lines.concat())
    }

    /// The text with an item behind the others.
    pub(super) fn appended(&self, key: &str, count: usize, item: &Value) -> Option<String> {
        let mut lines = self.lines();
        match List::find(&lines, key) {
            Some(list) if list.items.len() == count => {
                let end = list.items.last().map_or(list.key + 1, |last| last.end);
                if count == 0 {
                    lines[list.key] = format!("{key}:{}", list.comment);
                }
                lines.insert(end, indented(item, list.indent));
            }
            None if !lines.iter().any(|line| line.starts_with(&format!("{key}:"))) => {
                lines.push(format!("{key}:\n{}", indented(item, 0)));
            }
            _ => return None,
        }
        Some(lines.concat())
    }

    /// The text with `key: value` on a line of its own.
    pub(super) fn with_line(&self, key: &str, value: &Value) -> String {
        let mut lines = self.lines();
        let line = rendered(&json!({ key: value }));
        match lines.iter_mut().find(|line| line.starts_with(&format!("{key}:"))) {
            Some(old) => *old = line,
            None => lines.push(line),
        }
        lines.concat()
    }
}

impl List {
    fn find(lines: &[String], wanted: &str) -> Option<Self> {
        let (key, comment) = lines.iter().enumerate().find_map(|(place, line)| {
            let rest = line.strip_prefix(wanted)?.strip_prefix(':')?;
            let end = rest.find(" #").or_else(|| rest.find("\t#")).unwrap_or(rest.trim_end().len());
            let comment = &rest[rest[..end].trim_end().len()..];
            matches!(rest[..end].trim(), "" | "[]" | "null" | "~").then(|| (place, comment.to_owned()))
        })?;
        let top_level =
            |line: &String| line.starts_with(|c: char| !c.is_whitespace() && c != '-' && c != '#');
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
                    .is_some_and(|rest| rest.starts_with('-') && lines[i][..indent].trim().is_empty())
            })
            .collect();
        let items = starts.iter().enumerate().map(|(i, &start)| {
            // Comments behind an item belong to what follows.
            let mut stop = starts.get(i + 1).copied().unwrap_or(end);
            while stop > start + 1 && says_nothing(stop - 1) {
                stop -= 1;
            }
            start..stop
        });
        Some(Self { key, comment, items: items.collect(), indent })
    }
}

/// An item of a block list, as many columns to the right as the others.
fn indented(item: &Value, indent: usize) -> String {
    let margin = " ".repeat(indent);
    rendered(&[item]).lines().map(|line| format!("{margin}{line}\n")).collect()
}
