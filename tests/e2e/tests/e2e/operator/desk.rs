//! An operator's environment: the program, a separate home and a separate kubeconfig. At the end no instance is left.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use provisioner::Provisioner;
use provisioner::assets::Assets;
use provisioner::exec::environment::OURS;
use provisioner::exec::{Command, Failure, Local, Runner};
use provisioner::home::Home;
use provisioner::request::KUBERNETES_VERSION;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::signal::unix::{SignalKind, signal};

use crate::hostile::hostile;
use crate::interrupt::interrupt;

/// A kubeconfig that the operator had before.
const FOREIGN: &str = "# the one at work
apiVersion: v1
kind: Config
clusters:
- name: work
  cluster: {server: 'https://work.invalid:6443'}
contexts:
- name: work
  context: {cluster: work, user: work}
users:
- name: work
  user: {token: '0123'}
current-context: work
";

/// The operator's environment.
pub(crate) struct Desk {
    folder: Utf8PathBuf,
    homelab: Utf8PathBuf,
    kubectl: Utf8PathBuf,
}

impl Desk {
    /// Runs `work`, then removes all instances and the folder, whatever the result.
    pub(crate) async fn with(work: impl AsyncFnOnce(&Self) -> anyhow::Result<()>) -> anyhow::Result<()> {
        let desk = Self::laid_out().await?;
        let mut terminated = signal(SignalKind::terminate())?;
        let outcome = tokio::select! {
            outcome = work(&desk) => outcome,
            _ = terminated.recv() => Err(anyhow::anyhow!("terminated")),
        };
        let cleared = desk.clear().await;
        outcome.and(cleared)
    }

    /// The folder's name depends on the build of the tests, not on the run, so that the next run cleans up after a
    /// killed one.
    async fn laid_out() -> anyhow::Result<Self> {
        let program = Utf8PathBuf::try_from(std::env::current_exe()?)?;
        let built = program.parent().and_then(Utf8Path::parent).context("a folder of built programs")?;
        let image = Assets::in_cache(Home::from_env()?.cache().to_owned()).find(KUBERNETES_VERSION);
        let desk = Self {
            folder: built.join("operator"),
            homelab: built.join("homelab"),
            kubectl: image.context("the node image is built")?.root.join("usr/local/bin/kubectl"),
        };
        ensure!(desk.homelab.exists(), "{} is not built: `cargo build`", desk.homelab);
        desk.clear().await?;
        std::fs::create_dir_all(desk.home())?;
        std::fs::write(desk.merged(), FOREIGN)?;
        std::fs::write(desk.hosts(), "127.0.0.1 localhost\n")?;
        let settings = format!("dns:\n  provider: hosts\n  hostsFile: {}\n", desk.hosts());
        std::fs::write(desk.home().join("config.yaml"), settings)?;
        Ok(desk)
    }

    async fn clear(&self) -> anyhow::Result<()> {
        if !self.folder.exists() {
            return Ok(());
        }
        self.homelab(&["down", "--all"]).await?;
        Ok(std::fs::remove_dir_all(&self.folder)?)
    }

    pub(crate) fn home(&self) -> Utf8PathBuf {
        self.folder.join("home")
    }

    /// The folder of an instance.
    pub(crate) fn instance(&self, name: &str) -> Utf8PathBuf {
        self.home().join("instances").join(name)
    }

    pub(crate) fn merged(&self) -> Utf8PathBuf {
        self.folder.join("kubeconfig")
    }

    pub(crate) fn hosts(&self) -> Utf8PathBuf {
        self.folder.join("hosts")
    }

    /// Runs the program, which must succeed.
    pub(crate) async fn homelab(&self, args: &[&str]) -> anyhow::Result<String> {
        Ok(Local.run(&self.program(args)).await?.text())
    }

    /// Runs the program with another spelling of the home.
    pub(crate) async fn homelab_in(&self, home: &str, args: &[&str]) -> anyhow::Result<String> {
        let command = self.command(&self.homelab, args).env("HOMELAB_HOME", home);
        Ok(Local.run(&command).await?.text())
    }

    /// Runs the program below another program with these options, and returns its output and errors.
    pub(crate) async fn homelab_below(
        &self,
        program: &str,
        options: &[&str],
        args: &[&str],
    ) -> anyhow::Result<String> {
        let all: Vec<&str> =
            options.iter().copied().chain([self.homelab.as_str()]).chain(args.iter().copied()).collect();
        let output = Local.run(&self.command(Utf8Path::new(program), &all)).await?;
        Ok(format!("{}{}", output.text(), String::from_utf8_lossy(&output.stderr)))
    }

    /// Runs the program with an input.
    pub(crate) async fn homelab_with(&self, args: &[&str], input: &str) -> anyhow::Result<String> {
        Ok(Local.run(&self.program(args).input(input)).await?.text())
    }

    /// Runs the program, which must end with this code, and returns its errors.
    pub(crate) async fn refusal(&self, code: i32, args: &[&str]) -> anyhow::Result<String> {
        let Err(error) = Local.run(&self.program(args)).await else {
            bail!("homelab {args:?} is not refused")
        };
        match error.failure {
            Failure::Status { code: Some(found), stderr, .. } if found == code => Ok(stderr),
            failure => bail!("homelab {args:?} ends in another way: {failure}"),
        }
    }

    /// Runs a shell line as a documentation page shows it, without `sudo`. Returns the output of both streams, whatever
    /// the exit code, with the
    /// desk's folders replaced by an operator's usual ones.
    pub(crate) async fn typed(&self, line: &str) -> anyhow::Result<String> {
        let folder = self.homelab.parent().context("the folder of the program")?;
        let line = line.strip_prefix("sudo ").unwrap_or(line);
        let script = format!("PATH={folder}:$PATH; cd {} && {{ {line}\n}} 2>&1; true", self.folder);
        let printed = Local.run(&self.command("sh".into(), &["-c", &script])).await?.text();
        let own = [(self.home(), "~/.homelab"), (self.merged(), "~/.kube/config")];
        Ok(own.iter().fold(printed, |text, (path, name)| text.replace(path.as_str(), name)))
    }

    /// Runs the program on a terminal with this typed input. Returns the exit code and the terminal's output.
    pub(crate) async fn at_terminal(&self, args: &[&str], typed: &str) -> anyhow::Result<(i32, String)> {
        let line = format!("{} {}", self.homelab, args.join(" "));
        let script = ["--quiet", "--return", "--command", &line, "/dev/null"];
        match Local.run(&self.command("script".into(), &script).input(typed)).await {
            Ok(output) => Ok((0, output.text())),
            Err(error) => match error.failure {
                Failure::Status { code: Some(code), stdout, .. } => Ok((code, stdout)),
                failure => bail!("homelab {args:?} ends in another way: {failure}"),
            },
        }
    }

    /// Runs the program and interrupts it, as by Ctrl-C, as soon as it has printed `after`. Returns the exit code.
    #[expect(clippy::disallowed_methods, reason = "no Runner interrupts what it runs")]
    pub(crate) async fn interrupted(&self, args: &[&str], after: &str) -> anyhow::Result<Option<i32>> {
        let mut program = tokio::process::Command::new(&self.homelab)
            .args(args)
            .env("HOMELAB_HOME", self.home())
            .env("KUBECONFIG", self.merged())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let mut said = BufReader::new(program.stderr.take().context("a pipe")?).lines();
        let within = Duration::from_secs(60);
        let interrupted = tokio::time::timeout(within, async {
            while let Some(line) = said.next_line().await? {
                if line.contains(after) {
                    interrupt(&program)?;
                }
            }
            Ok::<_, anyhow::Error>(program.wait().await?)
        });
        Ok(interrupted.await.with_context(|| format!("homelab {args:?} does not end"))??.code())
    }

    /// Runs the program and kills it after this time. Returns whether it had ended before. Its children live on.
    #[expect(clippy::disallowed_methods, reason = "a Runner also kills the program's children")]
    pub(crate) async fn killed(&self, args: &[&str], after: Duration) -> anyhow::Result<bool> {
        let mut program = tokio::process::Command::new(&self.homelab)
            .args(args)
            .env("HOMELAB_HOME", self.home())
            .env("KUBECONFIG", self.merged())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        match tokio::time::timeout(after, program.wait()).await {
            Ok(ended) => {
                let status = ended?;
                ensure!(status.success(), "homelab {args:?} ends with {status} before it is killed");
                Ok(true)
            }
            Err(_) => {
                program.kill().await?;
                Ok(false)
            }
        }
    }

    /// A provisioner on the operator's home.
    pub(crate) fn provisioner(&self) -> anyhow::Result<Provisioner> {
        Ok(Provisioner::new(Home::at(self.home()))?)
    }

    /// Runs plain kubectl with the merged kubeconfig.
    pub(crate) async fn kubectl(&self, args: &[&str]) -> anyhow::Result<String> {
        Ok(Local.run(&self.command(&self.kubectl, args)).await?.text())
    }

    /// The program, called from a hostile environment, which must have no effect.
    fn program(&self, args: &[&str]) -> Command {
        hostile(&self.command(&self.homelab, args))
    }

    fn command(&self, program: &Utf8Path, args: &[&str]) -> Command {
        Command::within(Duration::from_secs(300), program.as_str())
            .args(args.iter().copied())
            .keeping(OURS.iter().copied())
            .env("HOMELAB_HOME", self.home())
            .env("KUBECONFIG", self.merged())
    }
}
