//! Finds the home and the cache in use, and those of the other users of this host.

use std::fs;

use camino::{Utf8Path, Utf8PathBuf};
use provisioner::home::Home;

use crate::doctor::homes::{Facts, Place, why};
use crate::words;

/// The lowest user id of a person on Debian (`UID_MIN`, login.defs(5)).
const FIRST_PERSON: u32 = 1000;

/// Collects the facts without changing anything. A folder that this user may not enter counts as empty.
pub(super) fn facts(home: &Home) -> Facts {
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let caller = || std::env::var("SUDO_USER").ok().filter(|user| user != "root");
    let caller = rustix::process::geteuid().is_root().then(caller).flatten();
    let place = |path: &Utf8Path, variables: &[&'static str]| Place {
        path: words::own_path(path),
        why: why(variables, is_set, caller.as_deref()),
    };
    let users = users(&fs::read_to_string("/etc/passwd").unwrap_or_default());
    let others = |used: &Utf8Path, below: &str, marks: &[&str]| {
        let is_used = |path: &Utf8Path| same(path, used);
        let paths = users.iter().map(|(user, house)| (user.clone(), house.join(below)));
        let found = paths.filter(|(_, path)| marks.iter().any(|mark| path.join(mark).exists()));
        found.filter(|(_, path)| !is_used(path)).map(|(user, path)| (user, path.into_string())).collect()
    };
    Facts {
        home: place(home.root(), &["HOMELAB_HOME"]),
        cache: place(home.cache(), &["HOMELAB_CACHE", "XDG_CACHE_HOME"]),
        other_homes: others(home.root(), ".homelab", &["instances.json"]),
        other_caches: others(home.cache(), ".cache/homelab", &["root", "binaries"]),
    }
}

/// Whether two paths lead to the same folder.
fn same(a: &Utf8Path, b: &Utf8Path) -> bool {
    a == b || a.canonicalize_utf8().is_ok_and(|a| b.canonicalize_utf8().is_ok_and(|b| a == b))
}

/// Root and all persons in a file as passwd(5) describes it, with their home directories. Pure.
fn users(passwd: &str) -> Vec<(String, Utf8PathBuf)> {
    let user = |line: &str| {
        let fields: Vec<&str> = line.split(':').collect();
        let number: u32 = fields.get(2)?.parse().ok()?;
        let is_person = number == 0 || (number >= FIRST_PERSON && number < u32::from(u16::MAX) - 1);
        is_person.then(|| Some((fields[0].to_owned(), Utf8PathBuf::from(*fields.get(5)?))))?
    };
    passwd.lines().filter_map(user).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_and_persons_have_homes_and_services_have_none() {
        let passwd = "root:x:0:0:root:/root:/bin/bash\ndaemon:x:1:1::/usr/sbin:/usr/sbin/nologin\n\
                      ada:x:1000:1000::/home/ada:/bin/bash\nnobody:x:65534:65534::/nonexistent:/bin/false\nbroken\n";
        let expected = [("root", "/root"), ("ada", "/home/ada")];
        assert_eq!(users(passwd), expected.map(|(user, house)| (user.to_owned(), Utf8PathBuf::from(house))));
    }
}
