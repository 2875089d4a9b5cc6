//! The same command line through sudo, for verbs that need root. Pure, except [`command_from_env`].

use camino::Utf8Path;

/// Variables that name homelab's folders and files. sudo drops them unless they are on its command line; without them,
/// the command would use another home, another cache or another kubeconfig as root.
const VARIABLES: [&str; 4] = ["HOMELAB_HOME", "HOMELAB_CACHE", "XDG_CACHE_HOME", "KUBECONFIG"];

/// The folders in which sudo searches for programs on Debian (`secure_path` in /etc/sudoers).
const SECURE_PATH: [&str; 6] =
    ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// This process's command line through sudo.
pub(crate) fn command_from_env() -> String {
    let exe = std::env::current_exe().ok();
    let exe = exe.as_deref().and_then(Utf8Path::from_path).unwrap_or(Utf8Path::new("homelab"));
    let arguments: Vec<String> =
        std::env::args_os().skip(1).map(|argument| argument.to_string_lossy().into_owned()).collect();
    let set = VARIABLES.into_iter().filter_map(|name| Some((name, std::env::var(name).ok()?)));
    command(exe, &arguments, &set.collect::<Vec<_>>())
}

fn command(exe: &Utf8Path, arguments: &[String], variables: &[(&str, String)]) -> String {
    let found_by_name = exe.parent().is_some_and(|folder| SECURE_PATH.contains(&folder.as_str()));
    let program = if found_by_name { exe.file_name().unwrap_or("homelab") } else { exe.as_str() };
    let variables = variables.iter().map(|(name, value)| format!("{name}={}", quoted(value)));
    let words = std::iter::once("sudo".to_owned()).chain(variables).chain([quoted(program)]);
    words.chain(arguments.iter().map(|argument| quoted(argument))).collect::<Vec<_>>().join(" ")
}

fn quoted(text: &str) -> String {
    let safe = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !text.is_empty() && text.chars().all(safe) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_installed_program_is_typed_by_its_name() {
        let line = command("/usr/local/bin/homelab".into(), &["up".to_owned(), "acme".to_owned()], &[]);
        assert_eq!(line, "sudo homelab up acme");
    }

    #[test]
    fn a_program_that_sudo_would_not_find_is_typed_by_its_path_with_its_settings() {
        let set = [("HOMELAB_HOME", "/srv/my lab".to_owned())];
        let line = command("/src/target/debug/homelab".into(), &["reap".to_owned()], &set);
        assert_eq!(line, "sudo HOMELAB_HOME='/srv/my lab' /src/target/debug/homelab reap");
    }
}
