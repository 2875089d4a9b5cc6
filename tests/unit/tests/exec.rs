//! Commands end with their children, report why they failed, and hide secrets; scripted runners refuse other commands.

mod environment;

use std::sync::Arc;
use std::time::Duration;

use provisioner::exec::{
    Background, Command, CommandError, Exchange, Failure, InContainer, Local, Runner, Scripted,
};

fn sh(script: &str) -> Command {
    Command::within(Duration::from_secs(20), "sh").args(["-c", script])
}

async fn refused(command: &Command) -> CommandError {
    Local.run(command).await.unwrap_err()
}

/// Whether a process has ended, or is a zombie.
fn is_dead(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.map_or(true, |stat| stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with(['Z', 'X'])))
}

#[tokio::test]
async fn a_command_gets_its_input_environment_and_directory() {
    let command = sh("cat; echo \"$GREETING\"; pwd").input("in\n").env("GREETING", "hi").in_directory("/usr");
    assert_eq!(Local.run(&command).await.unwrap().text(), "in\nhi\n/usr\n");
}

#[tokio::test]
async fn input_that_is_not_read_and_output_that_is_long_do_no_harm() {
    let megabyte = vec![b'x'; 1 << 20];
    let command = sh("head -c 1000000 /dev/zero; head -c 1000000 /dev/zero >&2").input(megabyte);
    let output = Local.run(&command).await.unwrap();
    assert_eq!((output.stdout.len(), output.stderr.len()), (1_000_000, 1_000_000));
}

#[tokio::test]
async fn a_command_that_fails_shows_its_status_and_both_streams() {
    let error = refused(&sh("echo out; echo err >&2; exit 3")).await;
    insta::assert_snapshot!(error, @r"
    run `sh -c 'echo out; echo err >&2; exit 3'`: exit status: 3
      stdout: out
      stderr: err
    ");
    assert!(matches!(error.failure, Failure::Status { code: Some(3), .. }));
}

#[tokio::test]
async fn a_command_that_a_signal_ends_says_which() {
    insta::assert_snapshot!(refused(&sh("kill -TERM $$")).await, @"run `sh -c 'kill -TERM $$'`: signal: 15 (SIGTERM)");
}

#[tokio::test]
async fn a_program_that_is_not_there_cannot_start() {
    let error = refused(&Command::within(Duration::from_secs(1), "no-such-program")).await;
    assert!(matches!(error.failure, Failure::Start(_)), "{error}");
}

#[tokio::test]
async fn secrets_are_hidden_in_errors() {
    let error = refused(&sh("exit 1").secret_arg("hunter2").input("hunter2")).await;
    assert!(error.to_string().contains("***"), "{error}");
    assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
}

#[tokio::test]
async fn a_deadline_kills_children_and_grandchildren_and_reports_their_output() {
    let script = "(sh -c 'echo $$; exec sleep 1000' & echo started >&2; wait)";
    let command = Command::within(Duration::from_millis(300), "sh").args(["-c", script]);
    let error = refused(&command).await;
    let Failure::Deadline { stdout, stderr, .. } = &error.failure else { panic!("{error}") };
    assert_eq!(stderr, "started\n");
    let grandchild = stdout.trim().to_owned();
    assert!(!grandchild.is_empty(), "the grandchild has not written its pid");
    crate::given::until(|| is_dead(&grandchild).then_some(()));
}

#[tokio::test]
async fn a_command_whose_task_is_cancelled_is_killed() {
    let house = crate::given::House::new();
    let mark = house.path("pid");
    let command = sh(&format!("echo $$ >{mark}.new; mv {mark}.new {mark}; exec sleep 1000"));
    let running = tokio::spawn(async move { Local.run(&command).await });
    while !mark.exists() {
        tokio::task::yield_now().await;
    }
    let pid = std::fs::read_to_string(&mark).unwrap();
    assert!(!is_dead(pid.trim()));
    running.abort();
    assert!(running.await.unwrap_err().is_cancelled());
    crate::given::until(|| is_dead(pid.trim()).then_some(()));
}

#[tokio::test]
async fn a_background_process_runs_until_it_is_stopped() {
    let mut sleeper = Background::start(&sh("exec sleep 1000")).unwrap();
    assert!(!sleeper.has_ended());
    sleeper.stop().await;
}

#[tokio::test]
async fn a_script_plays_its_exchanges_in_order() {
    let script = Scripted::new([Exchange::ok("uname -s", "Linux\n"), Exchange::fails("false", 1, "no")]);
    let uname = Command::within(Duration::ZERO, "uname").arg("-s");
    assert_eq!(script.run(&uname).await.unwrap().text(), "Linux\n");
    let failed = script.run(&Command::within(Duration::ZERO, "false")).await.unwrap_err();
    assert!(matches!(failed.failure, Failure::Status { code: Some(1), .. }), "{failed}");
    let beyond = script.run(&uname).await.unwrap_err();
    insta::assert_snapshot!(beyond, @"run `uname -s` in a script: not in the script: the script has ended");
}

#[tokio::test]
async fn a_script_names_both_the_expected_and_the_unexpected_command() {
    let script = Scripted::new([Exchange::ok("ip link add a", "")]);
    let error =
        script.run(&Command::within(Duration::ZERO, "ip").args(["link", "add", "b"])).await.unwrap_err();
    insta::assert_snapshot!(error, @"run `ip link add b` in a script: not in the script: expected `ip link add a`");
    script.run(&Command::within(Duration::ZERO, "ip").args(["link", "add", "a"])).await.unwrap();
}

#[test]
#[should_panic(expected = "exchanges left over in the script")]
fn a_script_that_is_not_played_to_its_end_fails() {
    drop(Scripted::new([Exchange::ok("true", "")]));
}

#[tokio::test]
async fn a_command_in_a_container_enters_its_namespaces_and_leaves_the_hosts_environment_behind() {
    let expected = "nsenter --target 42 --mount --uts --ipc --net --pid --cgroup --root --wd -- env -i \
                    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 \
                    A=b kubeadm version";
    let host = Scripted::new([Exchange::fails(expected, 1, "oh")]);
    let runner = InContainer::new("acme-cp-1", 42, Arc::new(host));
    let command = Command::within(Duration::from_secs(1), "kubeadm").arg("version").env("A", "b");
    let error = runner.run(&command).await.unwrap_err();
    insta::assert_snapshot!(error, @r"
    run `A=b kubeadm version` in acme-cp-1: exit status: 1
      stderr: oh
    ");
}
