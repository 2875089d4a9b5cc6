//! The home and the cache in use, the reason for each, and the homes and caches of other users. Pure.
//!
//! Root has its own home and cache. A user who types both `make demo` as root and `sudo homelab up` as a normal user
//! has two of each: an instance may seem to be missing, and the node image is built twice.

use super::{Check, good, note};

/// Why a folder is in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Why {
    /// This environment variable names it.
    Variable(&'static str),
    /// It belongs to this user, who called sudo.
    Sudo(String),
    /// It belongs to the user who runs this process.
    Own,
}

/// A folder in use, with the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) path: String,
    pub(crate) why: Why,
}

/// The homes and caches on this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Facts {
    /// The home in use.
    pub(crate) home: Place,
    /// The cache in use.
    pub(crate) cache: Place,
    /// Homes with a registry that are not in use: user and path.
    pub(crate) other_homes: Vec<(String, String)>,
    /// Caches with assets that are not in use: user and path.
    pub(crate) other_caches: Vec<(String, String)>,
}

/// Why a folder is in use: the first of these variables that is set, else `user`, who called sudo, else the process's
/// user.
pub(crate) fn why(variables: &[&'static str], set: impl Fn(&str) -> bool, user: Option<&str>) -> Why {
    let named = variables.iter().copied().find(|name| set(name));
    named.map_or_else(|| user.map_or(Why::Own, |user| Why::Sudo(user.to_owned())), Why::Variable)
}

pub(super) fn checks(facts: &Facts) -> Vec<Check> {
    let used = |what: &str, Place { path, why }: &Place| {
        let why = match why {
            Why::Variable(name) => format!("set by {name}"),
            Why::Sudo(user) => format!("of {user}, who called sudo"),
            Why::Own => "of the user who runs homelab".to_owned(),
        };
        good(format!("{what} {path}: {why}"))
    };
    let homes = facts.other_homes.iter().map(|(user, path)| {
        let what = format!("{user} has another home with a registry, which is not in use: {path}");
        note(&what, &format!("`sudo HOMELAB_HOME={path} homelab instance list` lists its instances"))
    });
    let caches = facts.other_caches.iter().map(|(user, path)| {
        let what = format!("{user} has another cache with assets, which is not in use: {path}");
        note(&what, &format!("type `sudo HOMELAB_CACHE={path} homelab` to use it instead of building again"))
    });
    [used("home", &facts.home), used("cache", &facts.cache)].into_iter().chain(homes).chain(caches).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(facts: &Facts) -> String {
        let line = |check: Check| {
            let remedy = check.remedy.map(|remedy| format!(" → {remedy}")).unwrap_or_default();
            format!("{:?} {}{remedy}", check.grade, check.what)
        };
        checks(facts).into_iter().map(line).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn a_variable_takes_precedence_over_the_user_of_sudo() {
        let variables = ["HOMELAB_CACHE", "XDG_CACHE_HOME"];
        assert_eq!(why(&variables, |_| false, None), Why::Own);
        assert_eq!(why(&variables, |_| false, Some("ada")), Why::Sudo("ada".to_owned()));
        assert_eq!(why(&variables, |_| true, Some("ada")), Why::Variable("HOMELAB_CACHE"));
        assert_eq!(why(&variables, |name| name == "XDG_CACHE_HOME", None), Why::Variable("XDG_CACHE_HOME"));
    }

    #[test]
    fn home_and_cache_of_root_are_reported_beside_those_of_the_user_of_sudo() {
        let place = |path: &str| Place { path: path.to_owned(), why: Why::Sudo("ada".to_owned()) };
        let other = |path: &str| vec![("root".to_owned(), path.to_owned())];
        let facts = Facts {
            home: place("/home/ada/.homelab"),
            cache: place("/home/ada/.cache/homelab"),
            other_homes: other("/root/.homelab"),
            other_caches: other("/root/.cache/homelab"),
        };
        insta::assert_snapshot!(told(&facts));
    }

    #[test]
    fn one_home_and_one_cache_have_a_line_each() {
        let facts = Facts {
            home: Place { path: "/srv/lab".to_owned(), why: Why::Variable("HOMELAB_HOME") },
            cache: Place { path: "~/.cache/homelab".to_owned(), why: Why::Own },
            other_homes: Vec::new(),
            other_caches: Vec::new(),
        };
        insta::assert_snapshot!(told(&facts), @r"
        Good home /srv/lab: set by HOMELAB_HOME
        Good cache ~/.cache/homelab: of the user who runs homelab
        ");
    }
}
