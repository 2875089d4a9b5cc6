//! Texts agree with the program: every command that one quotes can be typed, be it a hint, a help text or a page; options
//! are described the same everywhere; and the symptoms of the page on troubleshooting are printed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use clap::{CommandFactory, Parser};
use walkdir::WalkDir;

use crate::args::Args;

/// All files below a folder of the repository with this extension.
fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(folder);
    let paths = WalkDir::new(folder).into_iter().map(|entry| entry.expect("an entry").into_path());
    paths.filter(|path| path.extension().is_some_and(|found| found == extension)).collect()
}

fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).expect("a file of the repository")
}

/// A source with string literals in one line: one that ends with a backslash goes on without the next line's indentation.
fn joined(source: &str) -> String {
    let mut parts = source.split("\\\n");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |joined, part| joined + part.trim_start())
}

/// The commands in backticks of a source: `homelab …` and `sudo homelab …`.
fn quoted(source: &str) -> Vec<String> {
    let joined = joined(source);
    let parts = joined.lines().flat_map(|line| line.split('`').skip(1).step_by(2));
    parts
        .filter(|part| part.starts_with("homelab ") || part.starts_with("sudo homelab "))
        .map(str::to_owned)
        .collect()
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
        commands.extend(quoted(&read(path)));
    }
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
    // The page of verbs has usage lines, which are no commands; it is made from the command line itself.
    let pages = files("docs", "md").into_iter().filter(|path| !path.ends_with("verbs.md"));
    for path in pages.chain([readme]) {
        let page = read(path);
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

#[test]
fn every_symptom_is_printed_by_the_program_or_by_kubernetes() {
    // By kubectl, the kubelet or a browser; the last one is put together of a stage's name.
    const ELSEWHERE: [&str; 6] = [
        "ErrImagePull",
        "ImagePullBackOff",
        "Unable to connect to the server",
        "too many open files",
        "api.acme.lab",
        "stage ready",
    ];
    let page = read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/troubleshooting.md"));
    let sources: String = files("crates", "rs").iter().map(|path| joined(&read(path))).collect();
    let headings = page.lines().filter(|line| line.starts_with("### `"));
    let symptoms: Vec<&str> = headings.flat_map(|line| line.split('`').skip(1).step_by(2)).collect();
    assert!(symptoms.len() >= 20, "twenty symptoms are promised: {symptoms:?}");
    let unknown: Vec<_> = symptoms
        .iter()
        .filter(|symptom| !ELSEWHERE.contains(symptom) && !sources.contains(**symptom))
        .collect();
    assert_eq!(unknown, Vec::<&&str>::new());
}
