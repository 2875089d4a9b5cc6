//! The environment of every process that we start, made here and never inherited. Pure.
//!
//! It is an allow-list: a variable of the caller reaches a child only when this file names it for all commands, or
//! when the command says that it keeps it ([`Command::keeping`]). So `CONTAINER_HOST`, `VAGRANT_CWD`, `TAR_OPTIONS`,
//! `LD_PRELOAD` and what the next tool will read decide nothing, and nobody has to know their names. A value that a
//! command sets itself ([`Command::env`]) comes last.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::Path;

use super::Command;

/// Environment variables by their names.
pub type Variables = BTreeMap<OsString, OsString>;

/// Where a Linux host has its programs. A plain user's `PATH` on Debian has no `sbin`, where nft is.
const PROGRAMS: [&str; 6] = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// The locale of tools whose answers we read: English, a point in numbers, and UTF-8 in names. glibc has it built in.
const LOCALE: &str = "C.UTF-8";

/// How a host reaches what is to be downloaded: proxies, and who may vouch for servers. Kept by tools that download,
/// and by no other.
pub const DOWNLOADS: &[&str] = &[
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "FTP_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "ftp_proxy",
    "all_proxy",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
];

/// Where Go finds modules and keeps what it has built, by its own settings, which `go env -w` may also have put into a
/// file. Not how it builds: `GOFLAGS`, `GOEXPERIMENT`, `CGO_CFLAGS` and their like change binaries
/// (`go help environment`).
pub const GO_MODULES: &[&str] = &[
    "GOPROXY",
    "GONOPROXY",
    "GOPRIVATE",
    "GOSUMDB",
    "GONOSUMDB",
    "GOINSECURE",
    "GOVCS",
    "GOAUTH",
    "GOPATH",
    "GOMODCACHE",
    "GOCACHE",
];

/// What Go takes from the environment alone to find and keep modules.
pub const GO: &[&str] =
    &["GOENV", "NETRC", "GIT_SSL_CAINFO", "GOTMPDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"];

/// What a person's own session takes: terminal, language, editor and pager, and kubectl's own preferences. Nothing
/// that says which cluster is meant, or how it is reached.
pub const SESSION: &[&str] = &[
    "TERM",
    "COLORTERM",
    "TERMINFO",
    "NO_COLOR",
    "LANG",
    "LANGUAGE",
    "LC_ALL",
    "LC_CTYPE",
    "LC_COLLATE",
    "LC_MESSAGES",
    "LC_NUMERIC",
    "LC_TIME",
    "TZ",
    "USER",
    "LOGNAME",
    "SHELL",
    "EDITOR",
    "VISUAL",
    "PAGER",
    "LESS",
    "DISPLAY",
    "WAYLAND_DISPLAY",
    "XAUTHORITY",
    "XDG_CONFIG_HOME",
    "XDG_CACHE_HOME",
    "XDG_RUNTIME_DIR",
    "KUBE_EDITOR",
    "KUBECACHEDIR",
    "KUBECOLOR",
    "KUBERC",
    "KUBECTL_EXTERNAL_DIFF",
];

/// What `homelab` and fixtures read themselves, for tests that start them as processes of their own.
pub const OURS: &[&str] = &[
    "HOMELAB_HOME",
    "HOMELAB_CACHE",
    "HOMELAB_LOG",
    "XDG_CACHE_HOME",
    "KUBECONFIG",
    "SUDO_UID",
    "SUDO_GID",
    "SUDO_USER",
    "NEXTEST_RUN_ID",
    "NEXTEST_TEST_NAME",
];

/// The environment in which a command runs, whoever calls us.
///
/// `PATH` has the caller's folders first, those of the system after them, and none that is relative: a program is never
/// taken from wherever somebody happens to stand. `HOME` and `TMPDIR` are the caller's where they are absolute.
pub fn environment(command: &Command, caller: &Variables) -> Variables {
    let theirs = |name: &str| caller.get(OsStr::new(name)).filter(|value| !value.is_empty());
    let folder = |name: &str| theirs(name).filter(|path| Path::new(path).is_absolute());
    let mut made = Variables::new();
    made.insert("PATH".into(), path(theirs("PATH").map(OsString::as_os_str)));
    for name in ["HOME", "TMPDIR"] {
        made.extend(folder(name).map(|value| (name.into(), value.clone())));
    }
    if !command.kept().any(|name| name == "LC_ALL") {
        made.insert("LC_ALL".into(), LOCALE.into());
    }
    for name in command.kept() {
        made.extend(theirs(name).map(|value| (name.into(), value.clone())));
    }
    made.extend(command.environment().iter().map(|(name, value)| (name.into(), value.into())));
    made
}

/// The folders in which a program is looked for, in order.
pub fn path(callers: Option<&OsStr>) -> OsString {
    let theirs = callers.map(std::env::split_paths).into_iter().flatten().filter(|path| path.is_absolute());
    let mut folders: Vec<_> = theirs.collect();
    let missing = PROGRAMS.iter().map(Path::new).filter(|folder| !folders.iter().any(|path| path == folder));
    let missing: Vec<_> = missing.map(Path::to_owned).collect();
    folders.extend(missing);
    // It fails for a folder with a colon in its name, which no split has left.
    std::env::join_paths(folders).unwrap_or_else(|_| PROGRAMS.join(":").into())
}
