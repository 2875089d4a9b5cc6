//! The environment of a process that we start has only our variables, for any environment of the caller.

use std::collections::BTreeMap;
use std::time::Duration;

use provisioner::exec::environment::{DOWNLOADS, GO, GO_MODULES, SESSION, Variables, environment};
use provisioner::exec::{Background, Command, Local, Runner};
use rstest::rstest;

use crate::given::{House, until};

const SYSTEMS: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

fn variables(pairs: &[(&str, &str)]) -> Variables {
    pairs.iter().map(|(name, value)| (name.into(), value.into())).collect()
}

fn tool(program: &str) -> Command {
    Command::within(Duration::from_secs(20), program)
}

/// The environment of a command when the caller has these variables.
fn given(command: &Command, caller: &[(&str, &str)]) -> BTreeMap<String, String> {
    let text = |text: std::ffi::OsString| text.into_string().unwrap();
    environment(command, &variables(caller))
        .into_iter()
        .map(|(name, value)| (text(name), text(value)))
        .collect()
}

#[rstest]
#[case::podman_elsewhere("CONTAINER_HOST", "tcp://10.0.0.1:2375")]
#[case::podman_by_connection("CONTAINER_CONNECTION", "work")]
#[case::podman_configured("CONTAINERS_CONF", "/home/ann/containers.conf")]
#[case::podman_configured_on_top("CONTAINERS_CONF_OVERRIDE", "/home/ann/containers.conf")]
#[case::podman_storage("CONTAINERS_STORAGE_CONF", "/home/ann/storage.conf")]
#[case::podman_storage_driver("STORAGE_DRIVER", "btrfs")]
#[case::docker_elsewhere("DOCKER_HOST", "tcp://10.0.0.1:2375")]
#[case::proxy("HTTPS_PROXY", "http://127.0.0.1:9")]
#[case::proxy_in_lower_case("https_proxy", "http://127.0.0.1:9")]
#[case::proxy_for_all("ALL_PROXY", "http://127.0.0.1:9")]
#[case::no_proxy("NO_PROXY", "*")]
#[case::project_elsewhere("VAGRANT_CWD", "/home/ann/project")]
#[case::vms_elsewhere("VAGRANT_DOTFILE_PATH", "/home/ann/.vagrant")]
#[case::another_vagrantfile("VAGRANT_VAGRANTFILE", "Other")]
#[case::another_provider("VAGRANT_DEFAULT_PROVIDER", "docker")]
#[case::boxes_elsewhere("VAGRANT_HOME", "/home/ann/.vagrant.d")]
#[case::libvirt_elsewhere("LIBVIRT_DEFAULT_URI", "qemu+ssh://elsewhere/system")]
#[case::virtualbox_elsewhere("VBOX_USER_HOME", "/home/ann/vbox")]
#[case::agent("SSH_AUTH_SOCK", "/tmp/agent")]
#[case::library("LD_PRELOAD", "/home/ann/evil.so")]
#[case::libraries("LD_LIBRARY_PATH", "/home/ann/lib")]
#[case::words("IFS", "/")]
#[case::script("BASH_ENV", "/home/ann/.env")]
#[case::script_of_sh("ENV", "/home/ann/.env")]
#[case::folders("CDPATH", "/home/ann")]
#[case::posix("POSIXLY_CORRECT", "1")]
#[case::tar("TAR_OPTIONS", "--exclude=*")]
#[case::gzip("GZIP", "-1")]
#[case::another_cluster("KUBECONFIG", "/home/ann/.kube/config")]
#[case::repository("GIT_DIR", "/home/ann/.git")]
#[case::ruby("RUBYOPT", "-rdebug")]
#[case::perl("PERL5OPT", "-d")]
#[case::rust("RUSTFLAGS", "-Ctarget-cpu=native")]
#[case::language("LANGUAGE", "de")]
#[case::runtime("XDG_RUNTIME_DIR", "/run/user/1000")]
fn a_variable_of_the_caller_reaches_no_tool(#[case] name: &str, #[case] value: &str) {
    let programs = ["podman", "vagrant", "virsh", "VBoxManage", "nft", "tar", "sh", "ssh", "kubectl"];
    for program in programs {
        let plain = given(&tool(program), &[("HOME", "/root")]);
        assert_eq!(given(&tool(program), &[("HOME", "/root"), (name, value)]), plain, "{program}");
    }
}

#[test]
fn a_tool_gets_a_path_a_home_a_temporary_folder_and_the_locale_c_utf_8() {
    let caller =
        [("PATH", "/opt/bin:/usr/bin"), ("HOME", "/home/ann"), ("TMPDIR", "/scratch"), ("LC_ALL", "de_DE")];
    let expected = [
        ("HOME", "/home/ann"),
        ("LC_ALL", "C.UTF-8"),
        ("PATH", "/opt/bin:/usr/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/sbin:/bin"),
        ("TMPDIR", "/scratch"),
    ];
    assert_eq!(given(&tool("nft"), &caller), expected.map(|(a, b)| (a.to_owned(), b.to_owned())).into());
}

#[rstest]
#[case::none(&[])]
#[case::empty(&[("PATH", ""), ("HOME", ""), ("TMPDIR", "")])]
#[case::relative(&[("PATH", ".:bin::"), ("HOME", "."), ("TMPDIR", "tmp")])]
fn no_program_home_or_file_is_looked_for_in_the_working_folder_of_the_caller(
    #[case] caller: &[(&str, &str)],
) {
    let given = given(&tool("nft"), caller);
    assert_eq!(given["PATH"], SYSTEMS);
    assert!(!given.contains_key("HOME") && !given.contains_key("TMPDIR"), "{given:?}");
}

#[rstest]
#[case::proxy("HTTPS_PROXY", "http://proxy:3128")]
#[case::proxy_in_lower_case("http_proxy", "http://proxy:3128")]
#[case::exception("NO_PROXY", "mirror.work")]
#[case::authority("SSL_CERT_FILE", "/etc/work.pem")]
#[case::mirror("GOPROXY", "https://goproxy.work")]
#[case::sums("GONOSUMDB", "work/*")]
#[case::modules("GOMODCACHE", "/srv/modules")]
fn a_tool_that_downloads_keeps_the_way_to_its_sources(#[case] name: &str, #[case] value: &str) {
    let go = tool("go").keeping(DOWNLOADS.iter().chain(GO).chain(GO_MODULES).copied());
    assert_eq!(given(&go, &[(name, value)])[name], value);
    let contained = go.wrapped_here_by("setpriv", ["--"]);
    assert_eq!(given(&contained, &[(name, value)])[name], value, "a wrapper on the host must pass it on");
}

#[rstest]
#[case::flags("GOFLAGS", "-mod=mod")]
#[case::root("GOROOT", "/opt/other-go")]
#[case::experiment("GOEXPERIMENT", "greenteagc")]
#[case::level("GOAMD64", "v4")]
#[case::c_flags("CGO_CFLAGS", "-O0")]
#[case::compiler("CC", "tcc")]
#[case::debug("GODEBUG", "fips140=on")]
fn variables_that_change_how_go_builds_are_not_taken_from_the_caller(
    #[case] name: &str,
    #[case] value: &str,
) {
    let go = tool("go").keeping(DOWNLOADS.iter().chain(GO).chain(GO_MODULES).copied());
    assert_eq!(given(&go, &[(name, value)]), given(&go, &[]));
}

#[test]
fn a_session_has_the_callers_language_terminal_and_editor_but_not_the_proxies_and_kubeconfig() {
    let kubectl = tool("kubectl").keeping(SESSION.iter().copied()).env("KUBECONFIG", "/home/acme/kubeconfig");
    let persons =
        [("TERM", "xterm"), ("LANG", "de_DE.UTF-8"), ("KUBE_EDITOR", "vi"), ("TZ", "Europe/Berlin")];
    let others = [
        ("HTTPS_PROXY", "http://p"),
        ("all_proxy", "socks5://p"),
        ("KUBECONFIG", "/x"),
        ("LD_PRELOAD", "/x"),
    ];
    let got = given(&kubectl, &[&persons[..], &others[..]].concat());
    let expected = [&persons[..], &[("KUBECONFIG", "/home/acme/kubeconfig"), ("PATH", SYSTEMS)]].concat();
    assert_eq!(got, expected.into_iter().map(|(a, b)| (a.to_owned(), b.to_owned())).collect());
}

#[test]
fn variables_that_a_command_sets_override_those_of_the_caller() {
    let go = tool("go").keeping(["GOPROXY"]).env("GOPROXY", "off").env("LC_ALL", "C");
    let got = given(&go, &[("GOPROXY", "https://goproxy.work"), ("LC_ALL", "de_DE")]);
    assert_eq!((got["GOPROXY"].as_str(), got["LC_ALL"].as_str()), ("off", "C"));
}

#[tokio::test]
async fn a_process_gets_only_the_environment_made_for_it() {
    let set = |name: &str| std::env::var_os(name).is_some();
    assert!(set("CARGO_MANIFEST_DIR"), "the test itself must have a variable of cargo's");
    let told = Local.run(&tool("env").env("A", "b")).await.unwrap().text();
    let mut names: Vec<&str> =
        told.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name).collect();
    names.retain(|name| *name != "TMPDIR");
    names.sort_unstable();
    assert_eq!(names, ["A", "HOME", "LC_ALL", "PATH"], "{told}");
}

#[tokio::test]
async fn a_process_in_the_background_gets_the_same_environment() {
    let house = House::new();
    let file = house.path("environment");
    let script = format!("env >{file}.new; mv {file}.new {file}");
    let background = Background::start(&tool("sh").args(["-c", &script])).unwrap();
    let told = until(|| std::fs::read_to_string(&file).ok());
    assert!(!told.contains("CARGO"), "{told}");
    background.stop().await;
}

#[tokio::test]
async fn a_program_is_found_in_a_folder_that_is_not_in_the_path_of_a_plain_user() {
    // On Debian chroot is in /usr/sbin, which is not in the PATH of each user that CI may run as.
    Local.run(&tool("sh").args(["-c", "command -v chroot"])).await.unwrap();
    assert!(provisioner::exec::is_installed("chroot"));
    assert!(!provisioner::exec::is_installed("no-such-program"));
}
