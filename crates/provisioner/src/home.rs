//! Where everything of a user lives: `~/.homelab`, or wherever `HOMELAB_HOME` points.

use std::os::unix::fs::chown;

use camino::{Utf8Path, Utf8PathBuf};

use crate::digest::digest;
use crate::error::Hint;

/// A user's folder, and the user to whom its files belong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    root: Utf8PathBuf,
    /// At least one, none twice.
    kubeconfigs: Vec<Utf8PathBuf>,
    cache: Utf8PathBuf,
    user: Option<User>,
}

/// A user by number, as `chown` takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct User {
    uid: u32,
    gid: u32,
}

/// The environment names no usable home.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// Neither `HOMELAB_HOME` nor a home directory.
    #[error("no home directory: neither HOMELAB_HOME nor HOME is set")]
    None,
    /// A path in the environment is no UTF-8.
    #[error("{variable} holds a path that is no UTF-8")]
    NotText {
        /// The variable.
        variable: &'static str,
    },
    /// The user behind sudo cannot be looked up.
    #[error("look up user {uid}, who called sudo")]
    User {
        /// `SUDO_UID`.
        uid: u32,
        /// The system's answer.
        #[source]
        source: nix::Error,
    },
}

impl Hint for HomeError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::None | Self::NotText { .. } => Some("set HOMELAB_HOME to a folder of yours".to_owned()),
            Self::User { .. } => {
                Some("set HOMELAB_HOME and HOMELAB_CACHE, or run it as root without sudo".to_owned())
            }
        }
    }
}

impl Home {
    /// The home that the environment names. Under sudo it is the invoking user's, and so is its ownership.
    ///
    /// # Errors
    /// [`HomeError`] when there is none.
    pub fn from_env() -> Result<Self, HomeError> {
        let number = |variable| std::env::var(variable).ok().and_then(|text| text.parse::<u32>().ok());
        let user = match (rustix::process::geteuid().is_root(), number("SUDO_UID"), number("SUDO_GID")) {
            (true, Some(uid), Some(gid)) if uid != 0 => Some(User { uid, gid }),
            _ => None,
        };
        let house = match user {
            None => path_in("HOME")?,
            Some(User { uid, .. }) => nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(uid))
                .map_err(|source| HomeError::User { uid, source })?
                .and_then(|user| Utf8PathBuf::from_path_buf(user.dir).ok()),
        };
        let below = |path: &str| house.as_ref().map(|house| house.join(path)).ok_or(HomeError::None);
        let root = path_in("HOMELAB_HOME")?.map_or_else(|| below(".homelab"), Ok)?;
        let cache = match path_in("HOMELAB_CACHE")? {
            Some(cache) => cache,
            // sudo hands over the invoking user's XDG_CACHE_HOME or none at all.
            None => path_in("XDG_CACHE_HOME")?.map_or_else(|| below(".cache"), Ok)?.join("homelab"),
        };
        // A list, as in PATH; kubectl ignores what is empty or there twice (client-go,
        // tools/clientcmd/loader.go, `NewDefaultClientConfigLoadingRules`).
        let list = std::env::var("KUBECONFIG").unwrap_or_default();
        let mut kubeconfigs: Vec<Utf8PathBuf> = Vec::new();
        for path in list.split(':').filter(|path| !path.is_empty()) {
            if !kubeconfigs.iter().any(|known| known == path) {
                kubeconfigs.push(path.into());
            }
        }
        if kubeconfigs.is_empty() {
            kubeconfigs.push(below(".kube/config")?);
        }
        Ok(Self { root, kubeconfigs, cache, user })
    }

    /// A home in a folder of its own with a kubeconfig and a cache beside it, for tests.
    pub fn at(root: impl Into<Utf8PathBuf>) -> Self {
        let root = root.into();
        Self { kubeconfigs: vec![root.join("kubeconfig")], cache: root.join("cache"), user: None, root }
    }

    /// The same home with other kubeconfigs of the user, at least one; for tests.
    #[must_use]
    pub fn with_kubeconfigs(self, kubeconfigs: Vec<Utf8PathBuf>) -> Self {
        Self { kubeconfigs, ..self }
    }

    /// Six hex digits that tell this home from all others on the host.
    pub fn id(&self) -> String {
        digest(self.root.as_str())[..6].to_owned()
    }

    /// The folder itself.
    pub fn root(&self) -> &Utf8Path {
        &self.root
    }

    /// The ledger.
    pub fn registry(&self) -> Utf8PathBuf {
        self.root.join("instances.json")
    }

    /// Every event, one a line.
    pub fn events(&self) -> Utf8PathBuf {
        self.root.join("events.jsonl")
    }

    /// The user's settings.
    pub fn settings(&self) -> Utf8PathBuf {
        self.root.join("config.yaml")
    }

    /// What belongs to one instance.
    pub fn instance(&self, name: &str) -> Utf8PathBuf {
        self.root.join("instances").join(name)
    }

    /// The isolated kubeconfig of one instance.
    pub fn isolated_kubeconfig(&self, name: &str) -> Utf8PathBuf {
        self.instance(name).join("kubeconfig")
    }

    /// The certificate authority of one instance and the certificates that it issued.
    pub fn tls(&self, name: &str) -> Utf8PathBuf {
        self.instance(name).join("tls")
    }

    /// The file that names the active instance, and holds nothing else.
    pub fn active_context(&self) -> Utf8PathBuf {
        self.root.join("active-context")
    }

    /// The files that are the user's kubeconfig together: those in `KUBECONFIG`, or `~/.kube/config`.
    pub fn kubeconfigs(&self) -> &[Utf8PathBuf] {
        &self.kubeconfigs
    }

    /// The one of them that takes new entries and the current context: the first that exists, or else the last
    /// (client-go, tools/clientcmd/loader.go, `GetDefaultFilename`).
    pub fn merged_kubeconfig(&self) -> &Utf8Path {
        let first = self.kubeconfigs.iter().find(|path| path.exists());
        first.or(self.kubeconfigs.last()).map_or(Utf8Path::new(""), |path| path)
    }

    /// Where built assets are kept.
    pub fn cache(&self) -> &Utf8Path {
        &self.cache
    }

    /// Gives a file or folder to the user to whom the home belongs.
    ///
    /// # Errors
    /// What `chown` says.
    pub fn adopt(&self, path: &Utf8Path) -> std::io::Result<()> {
        self.user.map_or(Ok(()), |User { uid, gid }| chown(path, Some(uid), Some(gid)))
    }

    /// Gives a folder with everything in it to that user.
    ///
    /// # Errors
    /// What the file system says.
    pub fn adopt_all(&self, folder: &Utf8Path) -> std::io::Result<()> {
        if self.user.is_none() {
            return Ok(());
        }
        self.adopt(folder)?;
        for entry in folder.read_dir_utf8()? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                self.adopt_all(entry.path())?;
            } else {
                self.adopt(entry.path())?;
            }
        }
        Ok(())
    }

    /// Makes a folder and its parents, the new ones private to the user and owned by them.
    ///
    /// # Errors
    /// What the file system says.
    pub fn create_dir(&self, path: &Utf8Path) -> std::io::Result<()> {
        use std::os::unix::fs::DirBuilderExt;
        if path.is_dir() {
            return Ok(());
        }
        if let Some(parent) = path.parent() {
            self.create_dir(parent)?;
        }
        match std::fs::DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        self.adopt(path)
    }
}

fn path_in(variable: &'static str) -> Result<Option<Utf8PathBuf>, HomeError> {
    match std::env::var(variable) {
        Ok(text) if text.is_empty() => Ok(None),
        Ok(text) => Ok(Some(text.into())),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(_)) => Err(HomeError::NotText { variable }),
    }
}
