//! Terminal transcripts in Markdown, and whether an output agrees with one. Pure.

use std::sync::LazyLock;

use pulldown_cmark::{CodeBlockKind, Event, Parser, Tag, TagEnd};
use regex::Regex;

/// What a fenced block begins with whose commands are run.
const RUN: &str = "console,run";
/// A line that stands for any number of lines.
const ANY: &str = "…";

/// A command, and what a page shows below it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) command: String,
    pub(super) shown: Vec<String>,
}

/// The commands of a page that are run.
pub(super) fn steps(page: &str) -> Vec<Step> {
    let (mut steps, mut is_run) = (Vec::<Step>::new(), false);
    for event in Parser::new(page) {
        match event {
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(info))) => is_run = &*info == RUN,
            Event::End(TagEnd::CodeBlock) => is_run = false,
            Event::Text(text) if is_run => {
                for line in text.lines() {
                    match (line.strip_prefix("$ "), steps.last_mut()) {
                        (Some(command), _) => {
                            // What comes after is for the reader: the shell takes it for a comment as well.
                            steps.push(Step { command: command.trim().to_owned(), shown: Vec::new() });
                        }
                        (None, Some(step)) => step.shown.push(line.to_owned()),
                        (None, None) => {}
                    }
                }
            }
            _ => {}
        }
    }
    steps
}

/// Whether an output is what a page shows, up to times, ids and the third octet of a network, which differ from run to run.
pub(super) fn agrees(shown: &[String], printed: &str) -> bool {
    let plain = |lines: &mut dyn Iterator<Item = &str>| -> Vec<String> {
        lines.map(without_chance).filter(|line| !line.is_empty()).collect()
    };
    matches(&plain(&mut shown.iter().map(String::as_str)), &plain(&mut printed.lines()))
}

fn matches(shown: &[String], printed: &[String]) -> bool {
    match shown.split_first() {
        None => printed.is_empty(),
        Some((line, rest)) if line == ANY => {
            (0..=printed.len()).any(|skipped| matches(rest, &printed[skipped..]))
        }
        Some((line, rest)) => printed.first() == Some(line) && matches(rest, &printed[1..]),
    }
}

fn without_chance(line: &str) -> String {
    static CHANCE: LazyLock<[(Regex, &str); 5]> = LazyLock::new(|| {
        [
            (r"\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\dZ)?", "<time>"),
            (r"\b[0-9a-f]{8}\b", "<id>"),
            (r"\b\d+(\.\d+)? ?(ms|s|m|h|d)\b( \d+(ms|s|m|h)\b)?", "<duration>"),
            (r"\b192\.168\.\d+\b", "192.168.<n>"),
            (r"\s+", " "),
        ]
        .map(|(pattern, word)| (Regex::new(pattern).expect("a pattern"), word))
    });
    let plain = CHANCE
        .iter()
        .fold(line.to_owned(), |line, (pattern, word)| pattern.replace_all(&line, *word).into_owned());
    plain.trim().to_owned()
}

#[test]
fn the_commands_of_marked_blocks_are_run_with_what_is_shown_below_them() {
    let page = "```console\n$ no\n```\n\n```console,run\n$ a b   # why\n1\n2\n$ c\n```\n";
    let step = |command: &str, shown: &[&str]| Step {
        command: command.to_owned(),
        shown: shown.iter().map(|line| (*line).to_owned()).collect(),
    };
    assert_eq!(steps(page), [step("a b   # why", &["1", "2"]), step("c", &[])]);
}

#[test]
fn an_output_matches_up_to_variable_values_and_elided_lines() {
    let shown: Vec<String> =
        ["…", "✓ acme is up: 192.168.60.0/24, 19.6s after the claim", "…", "end"].map(str::to_owned).into();
    assert!(agrees(&shown, "a\nb\n✓ acme is up: 192.168.61.0/24, 8.1s after the claim\nc\nend\n"));
    assert!(!agrees(&shown, "a\n✓ globex is up: 192.168.61.0/24, 8.1s after the claim\nend\n"));
    assert!(!agrees(&shown, "✓ acme is up: 192.168.60.0/24, 19.6s after the claim\nend\nmore\n"));
    let table = ["NAME  UPTIME", "acme  2d 14h"].map(str::to_owned);
    assert!(agrees(&table, "NAME    UPTIME\nacme    37s\n"));
    assert!(!agrees(&table, "NAME    UPTIME\nacme    never\n"));
}
