//! Which home and which cache are meant, why, and whether there are others beside them. Pure.
//!
//! Root has a home, and so has the user who calls sudo. Who types both `make` as root and `sudo homelab` as a user has
//! two of each, and may look for an instance in the wrong one, or wait for a second build.

use super::{Check, good, note};

/// Why a folder is the one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Why {
    /// A variable names it.
    Variable(&'static str),
    /// It is that of the user who called sudo.
    Sudo(String),
    /// It is that of the user who runs this.
    Own,
}

/// A folder that is used, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) path: String,
    pub(crate) why: Why,
}

/// What is known of homes and caches on this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Facts {
    /// The home that is used.
    pub(crate) home: Place,
    /// The cache that is used.
    pub(crate) cache: Place,
    /// Homes with a registry that are not used, each after its user.
    pub(crate) other_homes: Vec<(String, String)>,
    /// Caches with assets that are not used, each after its user.
    pub(crate) other_caches: Vec<(String, String)>,
}

/// Why a folder is the one, when the first of these variables that is set names it. `user` called sudo.
pub(crate) fn why(variables: &[&'static str], set: impl Fn(&str) -> bool, user: Option<&str>) -> Why {
    let named = variables.iter().copied().find(|name| set(name));
    named.map_or_else(|| user.map_or(Why::Own, |user| Why::Sudo(user.to_owned())), Why::Variable)
}

pub(super) fn checks(facts: &Facts) -> Vec<Check> {
    let used = |what: &str, Place { path, why }: &Place| {
        let why = match why {
            Why::Variable(name) => format!("{name} says so"),
            Why::Sudo(user) => format!("{user}'s, who called sudo"),
            Why::Own => "of the user who runs this".to_owned(),
        };
        good(format!("{what} {path}: {why}"))
    };
    let homes = facts.other_homes.iter().map(|(user, path)| {
        let what = format!("{user} has a home with a registry of its own, not used now: {path}");
        note(&what, &format!("`sudo HOMELAB_HOME={path} homelab instance list` shows what is in it"))
    });
    let caches = facts.other_caches.iter().map(|(user, path)| {
        let what = format!("{user} has a cache with assets, not used now: {path}");
        note(&what, &format!("`sudo HOMELAB_CACHE={path} homelab …` uses it instead of building once more"))
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
    fn a_variable_comes_before_the_user_who_called_sudo_and_that_one_before_root() {
        let variables = ["HOMELAB_CACHE", "XDG_CACHE_HOME"];
        assert_eq!(why(&variables, |_| false, None), Why::Own);
        assert_eq!(why(&variables, |_| false, Some("ada")), Why::Sudo("ada".to_owned()));
        assert_eq!(why(&variables, |_| true, Some("ada")), Why::Variable("HOMELAB_CACHE"));
        assert_eq!(why(&variables, |name| name == "XDG_CACHE_HOME", None), Why::Variable("XDG_CACHE_HOME"));
    }

    #[test]
    fn roots_home_and_cache_beside_those_of_the_user_who_called_sudo_are_told() {
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
        Good home /srv/lab: HOMELAB_HOME says so
        Good cache ~/.cache/homelab: of the user who runs this
        ");
    }
}
