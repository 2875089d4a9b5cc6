//! The caller's umask and environment do not change what the program writes and starts.

use std::os::unix::fs::PermissionsExt;

use camino::Utf8Path;
use provisioner::exec::Command;

use crate::desk::Desk;

/// Variables that users set for other tools.
const HOSTILE: [(&str, &str); 8] = [
    ("HTTPS_PROXY", "http://127.0.0.1:9"),
    ("NO_PROXY", "*"),
    ("CONTAINER_HOST", "tcp://127.0.0.1:9"),
    ("LD_LIBRARY_PATH", "/nonexistent"),
    ("TAR_OPTIONS", "--exclude=*"),
    ("VAGRANT_CWD", "/nonexistent"),
    ("XDG_RUNTIME_DIR", "/nonexistent"),
    ("LC_ALL", "de_DE.UTF-8"),
];

/// The same command with this umask and a hostile environment.
fn hostile(command: &Command, umask: &str) -> Command {
    let begin = format!("umask {umask}; exec \"$@\"");
    let called = command.wrapped_here_by("sh", ["-c", &begin, "sh"]);
    HOSTILE.iter().fold(called, |command, (name, value)| command.env(*name, *value))
}

#[tokio::test]
async fn written_files_and_started_programs_do_not_depend_on_the_umask_of_the_caller() {
    for umask in ["077", "000", "027"] {
        let desk = Desk::with_three();
        let (folder, made) = (desk.path("dnsmasq.d"), desk.path("made"));
        std::fs::create_dir(&folder).unwrap();
        let restart = format!("[mkdir, {made}]");
        desk.settings(&format!("dns: {{ provider: dnsmasq, dnsmasqFolder: {folder}, restart: {restart} }}"));
        let told = desk.told(&hostile(&desk.command("dns sync"), umask)).await;
        assert!(told.contains("dnsmasq is restarted"), "{told}");
        let mode = |path: &Utf8Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&made), 0o755, "umask {umask}");
        let drop_ins: Vec<_> =
            folder.read_dir_utf8().unwrap().map(|entry| mode(entry.unwrap().path())).collect();
        assert_eq!(drop_ins, [0o644; 3], "umask {umask}");
    }
}

#[tokio::test]
async fn started_programs_get_nothing_of_the_callers_environment() {
    let desk = Desk::with_three();
    let (folder, told) = (desk.path("dnsmasq.d"), desk.path("told"));
    std::fs::create_dir(&folder).unwrap();
    let restart = format!("[sh, -c, 'env > {told}']");
    desk.settings(&format!("dns: {{ provider: dnsmasq, dnsmasqFolder: {folder}, restart: {restart} }}"));
    desk.told(&hostile(&desk.command("dns sync"), "077")).await;
    let told = std::fs::read_to_string(told).unwrap();
    let mut names: Vec<&str> =
        told.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name).collect();
    // The shell sets its working folder and its level itself.
    names.retain(|name| !["PWD", "OLDPWD", "SHLVL", "_", "TMPDIR"].contains(name));
    names.sort_unstable();
    assert_eq!(names, ["HOME", "LC_ALL", "PATH"], "{told}");
    assert!(told.contains("LC_ALL=C.UTF-8"), "{told}");
}
