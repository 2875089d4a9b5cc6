//! Makes the environment of every process that homelab starts; none is inherited. Pure.
//!
//! It is an allow-list: a variable of the caller reaches a child only when this file names it for all commands, or
//! when the command keeps it ([`Command::keeping`]). So `CONTAINER_HOST`, `VAGRANT_CWD`, `TAR_OPTIONS`, `LD_PRELOAD`
//! and the variables of future tools have no effect, and no list of such names is needed. A value that a command sets
//! itself ([`Command::env`]) overrides all others.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::Path;

use super::Command;

/// Environment variables by name.
pub type Variables = BTreeMap<OsString, OsString>;

/// The folders of programs on a Linux host. A plain user's `PATH` on Debian has no `sbin`, where nft is.
const PROGRAMS: [&str; 6] = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// The locale of tools whose output is parsed: English, a decimal point, and UTF-8 in names. It is built into glibc.
const LOCALE: &str = "C.UTF-8";

/// Variables for downloads: proxies, and the certificate authorities that are trusted. Only tools that download keep
/// them.
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

/// Go's settings for where it finds modules and keeps build results. `go env -w` may also have written them to a file.
/// Settings for how Go builds are not among them: `GOFLAGS`, `GOEXPERIMENT`, `CGO_CFLAGS` and their like change
/// binaries (`go help environment`).
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

/// Variables for finding and keeping modules that Go reads from the environment only.
pub const GO: &[&str] =
    &["GOENV", "NETRC", "GIT_SSL_CAINFO", "GOTMPDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"];

/// Variables of an interactive session: terminal, language, editor and pager, and kubectl's preferences. None of them
/// selects a cluster or the way to reach it.
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

/// Variables that `homelab` and fixtures read, for tests that start them as child processes.
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

/// The environment of a command, given the caller's variables.
///
/// `PATH` has the caller's folders first, then those of the system. Relative folders are dropped, so that no program is
/// taken from the current directory. `HOME` and `TMPDIR` are passed on where they are absolute.
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

/// The `PATH` of commands, given the caller's.
pub fn path(callers: Option<&OsStr>) -> OsString {
    let theirs = callers.map(std::env::split_paths).into_iter().flatten().filter(|path| path.is_absolute());
    let mut folders: Vec<_> = theirs.collect();
    let missing = PROGRAMS.iter().map(Path::new).filter(|folder| !folders.iter().any(|path| path == folder));
    let missing: Vec<_> = missing.map(Path::to_owned).collect();
    folders.extend(missing);
    // This fails only for a folder with a colon in its name, and the split above leaves none.
    std::env::join_paths(folders).unwrap_or_else(|_| PROGRAMS.join(":").into())
}
