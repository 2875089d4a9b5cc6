//! Reads the home's folders from the environment and makes canonical paths of them.
//!
//! A path with a character that podman, overlay mounts, ssh or a shell would misread is refused.

use std::fs;
use std::io;

use camino::{Utf8Component, Utf8Path, Utf8PathBuf};

use super::{Home, HomeError, Listed, User, id};

/// Has names of a home's objects, as kubeconfigs have them.
const HOSTS: &str = "/etc/hosts";
/// The folder of network namespaces, whose names begin with `homelab-<id>.`.
const NAMESPACES: &str = "/run/homelab/netns";

/// The home that the environment names.
pub(super) fn home() -> Result<Home, HomeError> {
    let number = |variable| std::env::var(variable).ok().and_then(|text| text.parse::<u32>().ok());
    let user = match (rustix::process::geteuid().is_root(), number("SUDO_UID"), number("SUDO_GID")) {
        (true, Some(uid), Some(gid)) if uid != 0 => Some(User { uid, gid }),
        _ => None,
    };
    let house = match user {
        None => path_in("HOME")?.map(|path| ("HOME", path)),
        Some(User { uid, .. }) => {
            let found = nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(uid));
            let user = found.map_err(|source| HomeError::User { uid, source })?;
            let not_text = |_| HomeError::NotText { variable: "SUDO_UID" };
            let dir = user.map(|user| Utf8PathBuf::from_path_buf(user.dir).map_err(not_text)).transpose()?;
            dir.map(|path| ("SUDO_UID", path))
        }
    };
    let below = |path: &str| {
        let (variable, house) = house.as_ref().ok_or(HomeError::None)?;
        Ok::<_, HomeError>((*variable, house.join(path)))
    };
    let named = |variable, path| Ok((variable, path));
    let (variable, spelled) =
        path_in("HOMELAB_HOME")?.map_or_else(|| below(".homelab"), |path| named("HOMELAB_HOME", path))?;
    let root = resolved(variable, &spelled)?;
    let (variable, cache) = match path_in("HOMELAB_CACHE")? {
        Some(cache) => ("HOMELAB_CACHE", cache),
        // sudo passes on the calling user's XDG_CACHE_HOME, or none.
        None => {
            let above = path_in("XDG_CACHE_HOME")?;
            let (variable, above) =
                above.map_or_else(|| below(".cache"), |path| named("XDG_CACHE_HOME", path))?;
            (variable, above.join("homelab"))
        }
    };
    let cache = resolved(variable, &cache)?;
    let mut kubeconfigs = kubeconfigs()?;
    if kubeconfigs.is_empty() {
        kubeconfigs.push(below(".kube/config")?.1);
    }
    let id = id::find(&root, spelled.as_str(), &Listed::of_host(), || traces(&kubeconfigs))?;
    Ok(Home { root, id, kubeconfigs, cache, user })
}

/// The files in `KUBECONFIG`, a list with colons as in PATH. kubectl ignores empty and repeated entries (client-go,
/// tools/clientcmd/loader.go, `NewDefaultClientConfigLoadingRules`). A file under two names counts once here: a process
/// that has locked it under one name would wait for itself under the other.
fn kubeconfigs() -> Result<Vec<Utf8PathBuf>, HomeError> {
    let list = path_in("KUBECONFIG")?.unwrap_or_default();
    let (mut paths, mut files): (Vec<Utf8PathBuf>, Vec<Utf8PathBuf>) = (Vec::new(), Vec::new());
    for path in list.as_str().split(':').filter(|path| !path.is_empty()).map(Utf8Path::new) {
        let file = canonical(path).unwrap_or_else(|_| path.to_owned());
        if !files.contains(&file) {
            files.push(file);
            paths.push(path.to_owned());
        }
    }
    Ok(paths)
}

/// The contents and names of everything that may name a home's objects, as far as this user can read them.
fn traces(kubeconfigs: &[Utf8PathBuf]) -> String {
    let files = kubeconfigs.iter().map(Utf8PathBuf::as_path).chain([Utf8Path::new(HOSTS)]);
    let texts = files.filter_map(|path| fs::read_to_string(path).ok());
    let names = Utf8Path::new(NAMESPACES).read_dir_utf8().into_iter().flatten().flatten();
    texts.chain(names.map(|entry| entry.file_name().to_owned())).collect::<Vec<_>>().join("\n")
}

fn path_in(variable: &'static str) -> Result<Option<Utf8PathBuf>, HomeError> {
    match std::env::var(variable) {
        Ok(text) if text.is_empty() => Ok(None),
        Ok(text) => Ok(Some(text.into())),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(_)) => Err(HomeError::NotText { variable }),
    }
}

/// The canonical path of a folder, which need not exist yet. Refuses a path that one of our tools would misread.
///
/// # Errors
/// [`HomeError`] with the variable that names it.
pub(super) fn resolved(variable: &'static str, path: &Utf8Path) -> Result<Utf8PathBuf, HomeError> {
    let unresolved = |source| HomeError::Unresolved { variable, path: path.to_string(), source };
    let real = canonical(path).map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData => HomeError::NotText { variable },
        _ => unresolved(error),
    })?;
    if let Some(character) = real.as_str().chars().find(|character| is_unusable(*character)) {
        return Err(HomeError::Character { variable, path: real.into_string(), character });
    }
    match fs::metadata(&real) {
        Ok(found) if !found.is_dir() => Err(unresolved(io::ErrorKind::NotADirectory.into())),
        _ => Ok(real),
    }
}

/// A colon ends a path in podman's volumes and in KUBECONFIG. A colon, a comma or a backslash ends one in the options
/// of an overlay mount. ssh expands percent signs. The others end words or quotes in shells and in Ruby.
fn is_unusable(character: char) -> bool {
    character.is_whitespace() || character.is_control() || ":,;\\\"'`$%".contains(character)
}

/// The absolute path without links, `.` and `..`; the folder need not exist.
///
/// # Errors
/// The file system's error; [`io::ErrorKind::InvalidData`] when a link leads to a path that is not UTF-8.
fn canonical(path: &Utf8Path) -> io::Result<Utf8PathBuf> {
    let mut real = Utf8PathBuf::from("/");
    if path.is_relative() {
        let here = std::env::current_dir()?;
        real = Utf8PathBuf::from_path_buf(here).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
    }
    for component in path.components() {
        match component {
            Utf8Component::Normal(name) => {
                real.push(name);
                // A dangling link is an error, because nothing can be made at its target.
                if fs::symlink_metadata(&real).is_ok() {
                    real = real.canonicalize_utf8()?;
                }
            }
            Utf8Component::ParentDir => {
                real.pop(); // correct, because `real` contains no links
            }
            Utf8Component::RootDir | Utf8Component::CurDir | Utf8Component::Prefix(_) => {}
        }
    }
    Ok(real)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_path_is_canonical_whether_or_not_it_exists() {
        let scratch = tempfile::tempdir().unwrap();
        let scratch = canonical(Utf8Path::from_path(scratch.path()).unwrap()).unwrap();
        fs::create_dir_all(scratch.join("a/b")).unwrap();
        symlink("a/b", scratch.join("link")).unwrap();
        symlink("nowhere", scratch.join("dangling")).unwrap();
        for (spelled, real) in [
            ("a/b", "a/b"),
            ("a//b/", "a/b"),
            ("a/./b/../b", "a/b"),
            ("link", "a/b"),
            ("link/../b", "a/b"),
            ("link/new/lab/", "a/b/new/lab"),
            ("new/../a", "a"),
        ] {
            let found = canonical(Utf8Path::new(&format!("{scratch}/{spelled}"))).unwrap();
            assert_eq!(found, scratch.join(real), "{spelled}");
        }
        let error = canonical(&scratch.join("dangling/lab")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_path_that_tools_would_misread_is_refused_with_the_character() {
        for (path, said) in [
            ("/a:b", "the character :"),
            ("/a,b", "the character ,"),
            ("/a b", "a blank"),
            ("/a\"b", "the character \""),
            ("/a'b", "the character '"),
            ("/a\\b", "the character \\"),
            ("/a$b", "the character $"),
            ("/a%b", "the character %"),
            ("/a\nb", "a line break"),
            ("/a\tb", "a tab"),
            ("/a\u{a0}b", "the character '\\u{a0}'"),
        ] {
            let error = resolved("HOMELAB_HOME", Utf8Path::new(path)).unwrap_err().to_string();
            let expected = format!("HOMELAB_HOME leads to {path:?}, and a path with {said} cannot be used");
            assert_eq!(error, expected);
        }
        assert_eq!(
            resolved("HOMELAB_HOME", Utf8Path::new("/häuser/a-b_c.d+e@f=g~")).unwrap(),
            "/häuser/a-b_c.d+e@f=g~"
        );
    }

    #[test]
    fn a_file_is_no_folder() {
        let error = resolved("HOMELAB_HOME", Utf8Path::new("/etc/passwd")).unwrap_err();
        assert!(matches!(error, HomeError::Unresolved { variable: "HOMELAB_HOME", .. }), "{error}");
    }
}
