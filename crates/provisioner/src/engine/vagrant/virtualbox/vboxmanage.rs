//! `VBoxManage`, VirtualBox's own tool. Its answers are read in `machines` and `adapters`.

use std::sync::Arc;
use std::time::Duration;

use crate::exec::{Command, CommandError, Failure, Output, Runner};

use super::VirtualBoxError;

/// Time-out for most commands.
const USUAL: Duration = Duration::from_secs(60);
/// Time-out for commands that start a VM or delete disks.
const LONG: Duration = Duration::from_secs(180);

/// VirtualBox, through its own tool.
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

    /// `VBoxManage showvminfo <machine> --machinereadable`; `None` if the VM does not exist.
    pub(super) async fn show(&self, machine: &str) -> Result<Option<String>, VirtualBoxError> {
        match self
            .tell("inspect virtual machine", machine, ["showvminfo", machine, "--machinereadable"])
            .await
        {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// `VBoxManage <args>`, with the usual time-out. `attempt` and `object` are for its error: `remove disk`, its path.
    pub(super) async fn tell<'a>(
        &self,
        attempt: &'static str,
        object: &str,
        args: impl IntoIterator<Item = &'a str>,
    ) -> Result<String, VirtualBoxError> {
        self.run(attempt, object, &command(USUAL, args)).await
    }

    /// The same with a long time-out.
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

/// A command whose answer is in English, so that it can be parsed.
fn command<'a>(within: Duration, args: impl IntoIterator<Item = &'a str>) -> Command {
    Command::within(within, "VBoxManage").args(args).env("LC_ALL", "C")
}

/// Turns an output with an error message into a failure: VBoxManage has been seen to exit with 0 after an error.
/// Vagrant's driver searches for the same words.
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
    fn an_error_of_vboxmanage_is_one_although_the_exit_code_is_0() {
        let outcome = |stderr: &str| {
            honest(&command(USUAL, ["list", "vms"]), Output { stdout: Vec::new(), stderr: stderr.into() })
        };
        assert!(outcome("0%...10%...100%\n").is_ok());
        insta::assert_snapshot!(
            outcome("VBoxManage: error: Failed to create the host-only adapter\n").unwrap_err()
        );
    }
}
