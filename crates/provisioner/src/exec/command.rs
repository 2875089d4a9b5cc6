//! A command as a value: program, arguments, environment, input and deadline. Making one runs nothing.

use std::fmt;
use std::time::Duration;

use crate::slowdown::{Slowdown, Stretched};

/// A program with its arguments, environment, input and deadline. `Display` pastes into a shell.
#[derive(Clone)]
pub struct Command {
    program: String,
    args: Vec<Arg>,
    env: Vec<(String, String)>,
    kept: Vec<&'static str>,
    directory: Option<String>,
    input: Vec<u8>,
    within: Deadline,
}

/// The longest time that a command may take.
#[derive(Debug, Clone, Copy)]
pub enum Deadline {
    /// For a container on a dedicated processor. The runner stretches it where everything takes longer.
    Usual(Duration),
    /// Exactly this duration.
    Stretched(Stretched),
}

impl From<Duration> for Deadline {
    fn from(usual: Duration) -> Self {
        Self::Usual(usual)
    }
}

impl From<Stretched> for Deadline {
    fn from(stretched: Stretched) -> Self {
        Self::Stretched(stretched)
    }
}

#[derive(Clone)]
enum Arg {
    Plain(String),
    Secret(String),
}

impl Command {
    /// A command with the deadline `within`. A plain duration is that of a container, and the runner stretches it; a
    /// [`Stretched`] stays as it is. The deadline is in the constructor so that no command is without one.
    pub fn within(within: impl Into<Deadline>, program: impl Into<String>) -> Self {
        Self {
            program: program.into(),
            args: Vec::new(),
            env: Vec::new(),
            kept: Vec::new(),
            directory: None,
            input: Vec::new(),
            within: within.into(),
        }
    }

    /// Adds one argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<String>) -> Self {
        self.args.push(Arg::Plain(arg.into()));
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args(self, args: impl IntoIterator<Item = impl Into<String>>) -> Self {
        args.into_iter().fold(self, Self::arg)
    }

    /// Adds an argument that is shown as `***` wherever the command is printed.
    #[must_use]
    pub fn secret_arg(mut self, arg: impl Into<String>) -> Self {
        self.args.push(Arg::Secret(arg.into()));
        self
    }

    /// Sets an environment variable, also where the caller of this process has set it.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Passes on these variables of the caller, where they are set. All others are dropped, except those that every
    /// command gets ([`super::environment`]).
    #[must_use]
    pub fn keeping(mut self, names: impl IntoIterator<Item = &'static str>) -> Self {
        self.kept.extend(names);
        self
    }

    /// Runs in this directory.
    #[must_use]
    pub fn in_directory(mut self, directory: impl Into<String>) -> Self {
        self.directory = Some(directory.into());
        self
    }

    /// Feeds these bytes to standard input, which is empty otherwise. Never printed.
    #[must_use]
    pub fn input(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.input = input.into();
        self
    }

    /// The program's name or path.
    pub fn program(&self) -> &str {
        &self.program
    }

    /// The arguments, secrets included.
    pub fn arguments(&self) -> impl Iterator<Item = &str> {
        self.args.iter().map(|arg| match arg {
            Arg::Plain(text) | Arg::Secret(text) => text.as_str(),
        })
    }

    /// Whether any argument is shown as `***`.
    pub fn has_secrets(&self) -> bool {
        self.args.iter().any(|arg| matches!(arg, Arg::Secret(_)))
    }

    /// The variables that the command sets itself, with their values.
    pub fn environment(&self) -> &[(String, String)] {
        &self.env
    }

    /// The names of the caller's variables that are passed on.
    pub fn kept(&self) -> impl Iterator<Item = &'static str> {
        self.kept.iter().copied()
    }

    /// The working directory; `None` for that of this process.
    pub fn directory(&self) -> Option<&str> {
        self.directory.as_deref()
    }

    /// The bytes for standard input.
    pub fn input_bytes(&self) -> &[u8] {
        &self.input
    }

    /// The deadline in a place with this slowdown.
    pub fn deadline(&self, slowdown: Slowdown) -> Stretched {
        match self.within {
            Deadline::Usual(usual) => slowdown.stretch(usual),
            Deadline::Stretched(stretched) => stretched,
        }
    }

    /// The same command, run through `program` with `args` in front of it: `nsenter … -- kubeadm …`.
    /// Environment and directory are not taken along: the caller has to pass them on through `args`.
    #[must_use]
    pub fn wrapped_by(&self, program: &str, args: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let mut outer = Self::within(self.within, program).args(args).arg(self.program.clone());
        outer.args.extend(self.args.iter().cloned());
        outer.input.clone_from(&self.input);
        outer
    }

    /// As [`Self::wrapped_by`], with environment and directory: for a `program` on this host, from which the command
    /// inherits both.
    #[must_use]
    pub fn wrapped_here_by(&self, program: &str, args: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let Self { env, kept, directory, .. } = self.clone();
        Self { env, kept, directory, ..self.wrapped_by(program, args) }
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(directory) = &self.directory {
            write!(f, "cd {} && ", quoted(directory))?;
        }
        for (name, value) in &self.env {
            write!(f, "{name}={} ", quoted(value))?;
        }
        f.write_str(&quoted(&self.program))?;
        for arg in &self.args {
            match arg {
                Arg::Plain(text) => write!(f, " {}", quoted(text))?,
                Arg::Secret(_) => f.write_str(" ***")?,
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Command({self})")
    }
}

/// POSIX shell quoting: none where that is safe, single quotes otherwise.
pub(super) fn quoted(text: &str) -> String {
    let safe = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+^".contains(c);
    if !text.is_empty() && text.chars().all(safe) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// The output of a command that exited with 0.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Output {
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: Vec<u8>,
}

impl Output {
    /// Standard output as text; bytes that are not UTF-8 are replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_prints_as_a_person_would_type_it() {
        let command = Command::within(Duration::from_secs(1), "sh")
            .args(["-c", "echo it's $HOME"])
            .secret_arg("hunter2")
            .env("A", "b c")
            .in_directory("/tmp");
        assert_eq!(command.to_string(), r"cd /tmp && A='b c' sh -c 'echo it'\''s $HOME' ***");
        assert!(!format!("{command:?}").contains("hunter2"));
    }
}
