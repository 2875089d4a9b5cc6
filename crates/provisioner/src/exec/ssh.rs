//! Runs commands as root in a VM, by OpenSSH.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use camino::Utf8PathBuf;
use futures::future::BoxFuture;

use super::command::quoted;
use super::{Command, CommandError, ENVIRONMENT, Output, Runner};
use crate::slowdown::{Slowdown, Stretched};

/// How to log in to a VM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// A user who may become root there without a password.
    pub user: String,
    /// The address of the VM's sshd.
    pub address: Ipv4Addr,
    /// The file with the private key that the VM accepts.
    pub key: Utf8PathBuf,
    /// The file with the VM's host key. The first connection accepts and records the key; later ones check it.
    pub known_hosts: Utf8PathBuf,
    /// The socket of the connection that all commands to this VM share, in an existing folder that root owns.
    pub shared: Utf8PathBuf,
}

/// How long the shared connection stays open without a command. Making one takes as long as three commands, and longer
/// where the processor is emulated. The time is short so that a VM that was halted and started again does not get the
/// old connection.
const IDLE: Duration = Duration::from_secs(3);

/// Runs commands as root in one VM.
#[derive(Debug, Clone)]
pub struct OverSsh {
    node: String,
    login: Login,
    slowdown: Slowdown,
    host: Arc<dyn Runner>,
}

impl OverSsh {
    /// A runner for a VM with this slowdown.
    pub fn new(node: impl Into<String>, login: Login, slowdown: Slowdown, host: Arc<dyn Runner>) -> Self {
        Self { node: node.into(), login, slowdown, host }
    }

    /// The command as it runs on the host.
    ///
    /// `timeout` ends it in the VM at its deadline, because a closed connection ends nothing there.
    fn on_host(&self, command: &Command) -> Command {
        /// The time for making the connection, beyond the command's own.
        const CONNECTION: Duration = Duration::from_secs(30);
        let within = command.deadline(self.slowdown);
        let Login { user, address, key, known_hosts, shared } = &self.login;
        let ssh = Command::within(within + Stretched::exactly(CONNECTION), "ssh")
            // The user's ssh configuration has no effect.
            .args(["-F", "/dev/null", "-i", key.as_str()])
            .args(["-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", "-o", "LogLevel=ERROR"])
            .args(["-o", "StrictHostKeyChecking=accept-new"])
            .args(["-o", &format!("UserKnownHostsFile={known_hosts}")])
            .args(["-o", "ConnectTimeout=20", "-o", "ServerAliveInterval=10", "-o", "ServerAliveCountMax=6"])
            .args(["-o", "ControlMaster=auto", "-o", &format!("ControlPath={shared}")])
            .args(["-o", &format!("ControlPersist={}s", IDLE.as_secs())])
            .arg(format!("{user}@{address}"))
            .input(command.input_bytes());
        let limit = format!("{}s", within.as_secs().max(1));
        let frame = ["sudo", "--non-interactive", "timeout", "--kill-after=5s", &limit, "env", "-i"];
        let environment = ENVIRONMENT.map(str::to_owned);
        let own = command.environment().iter().map(|(name, value)| format!("{name}={value}"));
        let words = frame.into_iter().map(str::to_owned).chain(environment).chain(own);
        let words = words.chain([command.program().to_owned()]).chain(command.arguments().map(str::to_owned));
        // sshd passes everything to a shell as one line.
        let line = words.map(|word| quoted(&word)).collect::<Vec<_>>().join(" ");
        if command.has_secrets() { ssh.secret_arg(line) } else { ssh.arg(line) }
    }
}

impl Runner for OverSsh {
    fn run<'a>(&'a self, command: &'a Command) -> BoxFuture<'a, Result<Output, CommandError>> {
        Box::pin(async move {
            self.host.run(&self.on_host(command)).await.map_err(|error| CommandError {
                command: command.to_string(),
                place: format!(" in {}", self.node),
                ..error
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::{Deadline, Local};

    fn runner() -> OverSsh {
        let login = Login {
            user: "vagrant".to_owned(),
            address: Ipv4Addr::new(192, 168, 60, 10),
            key: "/home/key".into(),
            known_hosts: "/home/known_hosts".into(),
            shared: "/run/acme-main".into(),
        };
        OverSsh::new("acme-main", login, Slowdown::EMULATED, Arc::new(Local))
    }

    #[test]
    fn a_command_is_one_line_for_the_shell_of_the_vm_which_ends_it_at_its_deadline() {
        let command =
            Command::within(Duration::from_secs(3), "sh").args(["-c", "echo it's $HOME"]).env("A", "b c");
        insta::assert_snapshot!(runner().on_host(&command).to_string().replace(" -", "\n -"));
    }

    #[test]
    fn a_deadline_is_stretched_once_and_one_that_is_stretched_already_is_not() {
        let usual = Duration::from_secs(180);
        for within in [Deadline::from(usual), Deadline::from(Slowdown::EMULATED.stretch(usual))] {
            let line = runner().on_host(&Command::within(within, "kubeadm"));
            assert!(line.to_string().contains("timeout --kill-after=5s 1800s"), "{line}");
            // The host does not stretch it again, however slow it is itself.
            assert_eq!(line.deadline(Slowdown::EMULATED).as_secs(), 1800 + 30);
        }
    }

    #[test]
    fn a_secret_is_not_shown_on_the_hosts_side_either() {
        let command = Command::within(Duration::from_secs(3), "kubeadm").secret_arg("hunter2");
        let line = runner().on_host(&command);
        assert!(!line.to_string().contains("hunter2"));
        assert!(line.arguments().any(|arg| arg.contains("hunter2")));
    }
}
