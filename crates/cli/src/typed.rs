//! Every command that a text of ours quotes can be typed: hints of errors, help texts and pages of the documentation.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use clap::{CommandFactory, Parser};

use crate::args::Args;

fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder of the repository") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|it| it == extension) {
                found.push(path);
            }
        }
    }
    found
}

/// The commands in backticks of a source: `homelab …` and `sudo homelab …`. A line that ends with a backslash goes on.
fn quoted(source: &str) -> Vec<String> {
    let mut joined = String::new();
    for part in source.split("\\\n") {
        joined.push_str(if joined.is_empty() { part } else { part.trim_start() });
    }
    let parts = joined
        .lines()
        .flat_map(|line| line.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>());
    parts.filter(|part| part.starts_with("homelab ") || part.starts_with("sudo homelab ")).collect()
}

/// The commands of a page's terminal blocks.
fn shown(page: &str) -> Vec<String> {
    let lines = page.lines().filter_map(|line| line.strip_prefix("$ "));
    let commands = lines.filter(|line| line.starts_with("homelab ") || line.starts_with("sudo homelab "));
    commands.map(str::to_owned).collect()
}

/// The words of a command as a shell would give them, with an instance's name for each placeholder. `None` for a command
/// that a text speaks of without its arguments, such as `homelab VERB --help`.
fn words(command: &str) -> Option<Vec<String>> {
    let command = command.strip_prefix("sudo ").unwrap_or(command);
    let command = command.split(['|', '>', '#']).next().unwrap_or_default();
    let is_mention = ["…", "VERB", "TOPIC", "homelab {"].iter().any(|part| command.contains(part));
    if is_mention {
        return None;
    }
    let command = command.replace("{kubernetes}", "v1.36.3");
    let mut parts = command.split('{');
    let mut filled = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        filled.push_str("acme");
        filled.push_str(part.split_once('}').map_or("", |(_, rest)| rest));
    }
    let name = |word: &str| match word {
        "NAME" | "NAMES" | "OTHER" => "acme".to_owned(),
        "VERSION" => "v1.36.3".to_owned(),
        "SHELL" => "bash".to_owned(),
        "CIDR" => "192.168.70.0/24".to_owned(),
        _ => word.replace('\'', ""),
    };
    Some(filled.split_whitespace().map(name).collect())
}

/// Whether clap takes a command. One that lacks required arguments is a mention, not an instruction.
fn can_be_typed(words: &[String]) -> Result<(), String> {
    use clap::error::ErrorKind::{
        DisplayHelp, DisplayHelpOnMissingArgumentOrSubcommand, DisplayVersion, MissingRequiredArgument,
    };
    match Args::try_parse_from(words) {
        Ok(_) => Ok(()),
        Err(error) => match error.kind() {
            DisplayHelp
            | DisplayVersion
            | DisplayHelpOnMissingArgumentOrSubcommand
            | MissingRequiredArgument => Ok(()),
            _ => {
                Err(format!("{}: {}", words.join(" "), error.to_string().lines().next().unwrap_or_default()))
            }
        },
    }
}

#[test]
fn every_command_that_a_text_quotes_can_be_typed() {
    let sources = ["crates/cli/src", "crates/provisioner/src", "crates/harness/src"];
    let sources = sources.iter().flat_map(|folder| files(folder, "rs"));
    let mut commands: BTreeSet<String> = BTreeSet::new();
    for path in sources.filter(|path| !path.ends_with("typed.rs")) {
        commands.extend(quoted(&fs::read_to_string(path).expect("a source")));
    }
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
    // The page of verbs has usage lines, which are no commands; it is made from the command line itself.
    let pages = files("docs", "md").into_iter().filter(|path| !path.ends_with("verbs.md"));
    for path in pages.chain([readme]) {
        let page = fs::read_to_string(path).expect("a page");
        commands.extend(shown(&page));
        commands.extend(quoted(&page));
    }
    assert!(commands.len() > 100, "the texts were not found: {commands:?}");
    let refused: Vec<String> = commands
        .iter()
        .filter_map(|command| words(command))
        .filter_map(|words| can_be_typed(&words).err())
        .collect();
    assert!(refused.is_empty(), "{}", refused.join("\n"));
}

#[test]
fn a_command_with_a_wrong_verb_or_option_is_found() {
    for wrong in ["homelab upp acme", "homelab up acme --warkers 3", "homelab k8s renew acme"] {
        assert!(can_be_typed(&words(wrong).expect("a command")).is_err(), "{wrong}");
    }
    assert_eq!(can_be_typed(&words("sudo homelab up {name} --workers 3 # why").expect("a command")), Ok(()));
    assert_eq!(quoted("(\"`homelab \\\n     up acme` and `other`\")"), ["homelab up acme"]);
}

/// Options that mean the same have one description. The exceptions mean something else.
#[test]
fn an_option_is_described_the_same_by_every_verb() {
    let exceptions =
        ["all", "box", "class", "force", "from", "instance", "kubernetes", "out", "to", "workers", "yes"];
    let mut described: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    let mut verbs = vec![Args::command()];
    while let Some(verb) = verbs.pop() {
        verbs.extend(verb.get_subcommands().cloned());
        for option in verb.get_arguments() {
            let Some(long) = option.get_long() else { continue };
            let help = option.get_help().map(ToString::to_string).unwrap_or_default();
            described.entry(long.to_owned()).or_default().insert(help, verb.get_name().to_owned());
        }
    }
    let differing: Vec<_> = described
        .iter()
        .filter(|(long, texts)| texts.len() > 1 && !exceptions.contains(&long.as_str()))
        .collect();
    assert!(differing.is_empty(), "{differing:#?}");
}
