//! `homelab help`: the help of a verb, or a topic that no single verb explains.

use std::io::IsTerminal;

use clap::{Args, Command};
use termimad::MadSkin;

use crate::exit::{CliError, Exit, Refusal};
use crate::printer::Printer;

/// Print the help of a verb, or explain a topic
///
/// Topics: isolation, networks, engines, exit-codes, files, environment.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  homelab help up
  homelab help k8s add-worker
  homelab help isolation       what separates instances, and how the audit proves it")]
pub(crate) struct Help {
    /// A verb with its subcommand, or a topic [default: the verbs]
    #[arg(value_name = "VERB|TOPIC")]
    words: Vec<String>,
}

/// The topics with their pages, which the documentation has as well.
pub(crate) const TOPICS: [(&str, &str); 6] = [
    ("isolation", include_str!("../../topics/isolation.md")),
    ("networks", include_str!("../../topics/networks.md")),
    ("engines", include_str!("../../topics/engines.md")),
    ("exit-codes", include_str!("../../topics/exit-codes.md")),
    ("files", include_str!("../../topics/files.md")),
    ("environment", include_str!("../../topics/environment.md")),
];

/// The columns of a rendered topic: at most, and where the terminal does not say its own.
const WIDTH: usize = 100;

impl Help {
    pub(crate) fn run(self, printer: &Printer, root: Command) -> Result<Exit, CliError> {
        printer.result(&self.text(root, std::io::stdout().is_terminal())?);
        Ok(Exit::Ok)
    }

    /// The help. On a terminal it has colours, and topics have drawn tables; elsewhere topics are Markdown.
    fn text(&self, mut root: Command, terminal: bool) -> Result<String, Refusal> {
        if let [topic] = self.words.as_slice()
            && let Some((_, page)) = TOPICS.iter().find(|(name, _)| name == topic)
        {
            let columns = usize::from(termimad::terminal_size().0);
            let width = if columns == 0 { WIDTH } else { columns.min(WIDTH) };
            let rendered = || MadSkin::default().text(page, Some(width)).to_string();
            return Ok(if terminal { rendered() } else { (*page).to_owned() });
        }
        root.build();
        let mut found = &mut root;
        for word in &self.words {
            found = found
                .find_subcommand_mut(word)
                .ok_or_else(|| Refusal::NoHelp { words: self.words.join(" ") })?;
        }
        let help = found.render_long_help();
        Ok(if terminal { help.ansi().to_string() } else { help.to_string() })
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn help(words: &[&str]) -> Result<String, Refusal> {
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        Help { words }.text(crate::args::Args::command(), false)
    }

    #[test]
    fn a_verb_a_subcommand_and_a_topic_have_a_help_and_another_word_is_refused() {
        assert!(help(&["up"]).unwrap().contains("homelab up [OPTIONS] <NAME>"));
        assert!(help(&["k8s", "add-worker"]).unwrap().contains("homelab k8s add-worker"));
        assert!(help(&["exit-codes"]).unwrap().starts_with("# Exit codes\n"));
        assert!(help(&[]).unwrap().contains("Day to day:"));
        assert_eq!(help(&["isolatoin"]).unwrap_err().to_string(), "no verb and no topic 'isolatoin'");
    }

    #[test]
    fn the_help_of_help_names_every_topic_and_pages_have_no_links() {
        let own = help(&["help"]).unwrap();
        for (name, page) in TOPICS {
            assert!(own.contains(name), "{name} is missing in:\n{own}");
            assert!(!page.contains("]("), "a terminal cannot follow the links of {name}");
        }
    }
}
