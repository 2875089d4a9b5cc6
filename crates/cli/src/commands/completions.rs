//! `homelab completions SHELL`: prints a completion script for a shell.

use clap::{Args, Command};
use clap_complete::Shell;

use crate::app::App;
use crate::exit::Exit;

/// Print a completion script for a shell
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  homelab completions bash > /etc/bash_completion.d/homelab
  homelab completions zsh > ~/.zfunc/_homelab")]
pub(crate) struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(self, app: &App, mut command: Command) -> Exit {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut command, "homelab", &mut script);
        app.printer.result(&String::from_utf8_lossy(&script));
        Exit::Ok
    }
}
