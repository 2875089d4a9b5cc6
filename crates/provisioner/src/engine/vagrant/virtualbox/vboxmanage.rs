//! `VBoxManage`, VirtualBox's own tool. Its answers are read in `machines` and `adapters`.

use std::sync::Arc;
use std::time::Duration;

use crate::exec::{Command, CommandError, Failure, Output, Runner};

use super::VirtualBoxError;

/// How long it may take for what is done at once.
const USUAL: Duration = Duration::from_secs(60);
/// How long it may take to give a machine power, or to delete its disks.
const LONG: Duration = Duration::from_secs(180);

/// VirtualBox, asked and told by its own tool.
#[derive(Debug, Clone)]
pub(super) struct VBoxManage {
    host: Arc<dyn Runner>,
}

impl VBoxManage {
    pub(super) fn new(host: Arc<dyn Runner>) -> Self {
        Self { host }
    }

    /// `VBoxManage list <what>`
    pub(super) async fn list(&self, what: &'static str) -> Result<String, VirtualBoxError> {
        self.tell("list", what, ["list", what]).await
    }

    /// `VBoxManage showvminfo <machine> --machinereadable`; nothing where there is no such machine.
    pub(super) async fn show(&self, machine: &str) -> Result<Option<String>, VirtualBoxError> {
        match self
            .tell("ask for virtual machine", machine, ["showvminfo", machine, "--machinereadable"])
            .await
        {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// `VBoxManage <args>`, which does at once what it does.
    pub(super) async fn tell<'a>(
        &self,
        attempt: &'static str,
        object: &str,
        args: impl IntoIterator<Item = &'a str>,
    ) -> Result<String, VirtualBoxError> {
        self.run(attempt, object, &command(USUAL, args)).await
    }

    /// The same, where it takes its time.
    pub(super) async fn tell_slowly<'a>(
        &self,
        attempt: &'static str,
        object: &str,
        args: impl IntoIterator<Item = &'a str>,
    ) -> Result<String, VirtualBoxError> {
        self.run(attempt, object, &command(LONG, args)).await
    }

    async fn run(
        &self,
        attempt: &'static str,
        object: &str,
        command: &Command,
    ) -> Result<String, VirtualBoxError> {
        let answer = match self.host.run(command).await {
            Ok(output) => honest(command, output),
            failed => failed,
        };
        answer.map(|output| output.text()).map_err(|source| VirtualBoxError::of(attempt, object, source))
    }
}

/// A command in a language that can be read again.
fn command<'a>(within: Duration, args: impl IntoIterator<Item = &'a str>) -> Command {
    Command::within(within, "VBoxManage").args(args).env("LC_ALL", "C")
}

/// VBoxManage has been seen to report an error and to exit with 0; Vagrant's driver looks for the same words.
fn honest(command: &Command, output: Output) -> Result<Output, CommandError> {
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    if !stderr.contains("VBoxManage: error:") && !stderr.contains("/dev/vboxnetctl") {
        return Ok(output);
    }
    let failure = Failure::Status {
        status: "exit status: 0, with an error".to_owned(),
        code: Some(0),
        stdout: output.text(),
        stderr,
    };
    Err(CommandError { command: command.to_string(), place: String::new(), failure })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_whatever_the_exit_code() {
        let outcome = |stderr: &str| {
            honest(&command(USUAL, ["list", "vms"]), Output { stdout: Vec::new(), stderr: stderr.into() })
        };
        assert!(outcome("0%...10%...100%\n").is_ok());
        insta::assert_snapshot!(
            outcome("VBoxManage: error: Failed to create the host-only adapter\n").unwrap_err()
        );
    }
}
