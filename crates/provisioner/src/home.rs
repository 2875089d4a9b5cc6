//! The home: the folder with all of a user's files, `~/.homelab` or the folder in `HOMELAB_HOME`.
//!
//! Two spellings of one folder are one home: [`Home::root`] is its canonical path, and [`Home::id`] is kept in the
//! folder. This module knows where files are, not what is in them, apart from the id and the list of homes.

mod environment;
mod id;
mod listed;

use std::os::unix::fs::chown;

use camino::{Utf8Path, Utf8PathBuf};

use crate::error::Hint;

use id::IdFile;

pub use id::Place;
pub(crate) use listed::HeldList;
pub use listed::Listed;

/// Name of the ledger's file in a home.
pub(crate) const LEDGER: &str = "instances.json";

/// A user's folder, and the user who owns its files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    root: Utf8PathBuf,
    id: String,
    /// At least one; each file once.
    kubeconfigs: Vec<Utf8PathBuf>,
    cache: Utf8PathBuf,
    /// Set under sudo only: the calling user, who gets all files.
    user: Option<User>,
}

/// A user by number, as `chown` takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct User {
    uid: u32,
    gid: u32,
}

/// Why the environment names no usable home.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// Neither `HOMELAB_HOME` nor a home directory is set.
    #[error("no home directory: neither HOMELAB_HOME nor HOME is set")]
    None,
    /// A path in the environment is not UTF-8.
    #[error("the path in {variable} is not UTF-8")]
    NotText {
        /// The variable's name, such as `HOMELAB_HOME`.
        variable: &'static str,
    },
    /// A path in the environment has a character that podman, overlay mounts, ssh or a shell would misread.
    #[error("{variable} leads to {path:?}, and a path with {} cannot be used", named(*.character))]
    Character {
        /// The variable.
        variable: &'static str,
        /// The whole path.
        path: String,
        /// The first such character.
        character: char,
    },
    /// A path in the environment cannot be resolved, or leads to a file.
    #[error("find the folder {path} that {variable} leads to")]
    Unresolved {
        /// The variable.
        variable: &'static str,
        /// The path as it is spelled.
        path: String,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// The user who called sudo cannot be looked up.
    #[error("look up user {uid}, who called sudo")]
    User {
        /// `SUDO_UID`.
        uid: u32,
        /// The system's answer.
        #[source]
        source: nix::Error,
    },
    /// The file with the id, or its folder, cannot be read.
    #[error("{attempt} {path}")]
    File {
        /// `read` or `inspect the folder of`.
        attempt: &'static str,
        /// The file.
        path: Utf8PathBuf,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// The file's content is not an id.
    #[error("{path} does not hold the id of a home")]
    Damaged {
        /// The file.
        path: Utf8PathBuf,
    },
    /// The folder's id was made for another folder.
    #[error(
        "{root} is a copy of {original}, or was restored from a backup: two homes cannot both have the id {id}"
    )]
    Copy {
        /// The folder.
        root: Utf8PathBuf,
        /// The id in it.
        id: String,
        /// The path of the folder for which the id was made, as last recorded.
        original: Utf8PathBuf,
    },
    /// The folder's id has changed since this process began.
    #[error("the home {root} has the id {found}, and had {id} when this command began")]
    Changed {
        /// The folder.
        root: Utf8PathBuf,
        /// The id with which this process works.
        id: String,
        /// The id in the folder.
        found: String,
    },
}

impl Hint for HomeError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::None | Self::NotText { .. } => Some("set HOMELAB_HOME to a folder that you own".to_owned()),
            Self::User { .. } => {
                Some("set HOMELAB_HOME and HOMELAB_CACHE, or run it as root without sudo".to_owned())
            }
            Self::Character { variable: variable @ ("HOMELAB_HOME" | "HOMELAB_CACHE"), .. } => {
                Some(format!("set {variable} to a folder with another name"))
            }
            Self::Character { .. } => Some("set HOMELAB_HOME and HOMELAB_CACHE to other folders".to_owned()),
            Self::Unresolved { variable, .. } => {
                Some(format!("make the folder, or set {variable} to another one"))
            }
            Self::Damaged { path } => Some(format!(
                "write the six hex digits of its id into {path}: names on this host begin with `homelab-<id>.`"
            )),
            Self::Copy { root, id, .. } => Some(format!(
                "`rm {root}/{file}` makes it a new home, without the other's nodes; if the other folder is \
                 gone for good, `echo {id} > {root}/{file}` makes this folder take its place",
                file = id::FILE
            )),
            Self::Changed { .. } => Some("repeat the command".to_owned()),
            Self::File { .. } => None,
        }
    }
}

/// A character in words. Pure.
fn named(character: char) -> String {
    match character {
        ' ' => "a blank".to_owned(),
        '\n' => "a line break".to_owned(),
        '\t' => "a tab".to_owned(),
        other if other.is_control() || other.is_whitespace() => format!("the character {other:?}"),
        other => format!("the character {other}"),
    }
}

impl Home {
    /// The home that the environment names. Under sudo, it is the calling user's home, and that user owns the files.
    ///
    /// # Errors
    /// [`HomeError`] when the environment names no home, or one that cannot be used.
    pub fn from_env() -> Result<Self, HomeError> {
        environment::home()
    }

    /// A home for tests, with its kubeconfig and its cache inside the folder.
    ///
    /// # Panics
    /// When [`Self::in_folder`] refuses the folder.
    pub fn at(root: impl Into<Utf8PathBuf>) -> Self {
        let root = root.into();
        Self::in_folder(&root, &Listed::in_folder("/nonexistent")).expect("a folder that can be a home")
    }

    /// As [`Self::at`], but never with the id of another home on this list.
    ///
    /// # Errors
    /// [`HomeError`] when the folder cannot be used, for instance because it is a copy of another home.
    pub fn in_folder(root: &Utf8Path, listed: &Listed) -> Result<Self, HomeError> {
        let spelled = root.as_str();
        let root = environment::resolved("HOMELAB_HOME", root)?;
        let kubeconfigs = vec![root.join("kubeconfig")];
        let traces = || std::fs::read_to_string(&kubeconfigs[0]).unwrap_or_default();
        let id = id::find(&root, spelled, listed, traces)?;
        Ok(Self { cache: root.join("cache"), user: None, root, id, kubeconfigs })
    }

    /// The same home with other kubeconfigs of the user, at least one; for tests.
    #[must_use]
    pub fn with_kubeconfigs(self, kubeconfigs: Vec<Utf8PathBuf>) -> Self {
        Self { kubeconfigs, ..self }
    }

    /// Six hex digits that distinguish this home from all others on the host.
    pub fn id(&self) -> String {
        self.id.clone()
    }

    /// The file that keeps the id.
    pub(crate) fn id_file(&self) -> Utf8PathBuf {
        self.root.join(id::FILE)
    }

    /// The text to write into the id's file, or `None` when the file is up to date. The file is outdated when it is
    /// missing or when the folder was moved.
    ///
    /// # Errors
    /// [`HomeError::Changed`] when the folder has another id by now; others when folder or file cannot be read.
    pub(crate) fn unsettled(&self) -> Result<Option<String>, HomeError> {
        let (attempt, path) = ("inspect the folder of", self.id_file());
        let place = Place::of(&self.root).map_err(|source| HomeError::File { attempt, path, source })?;
        let wanted = IdFile { id: self.id.clone(), place: Some(place) };
        match IdFile::read(&self.root)? {
            Some(found) if found.id != self.id => {
                let (root, id) = (self.root.clone(), self.id.clone());
                Err(HomeError::Changed { root, id, found: found.id })
            }
            Some(found) if found == wanted => Ok(None),
            _ => Ok(Some(wanted.text())),
        }
    }

    /// The folder itself, by its canonical path.
    pub fn root(&self) -> &Utf8Path {
        &self.root
    }

    /// The registry's ledger.
    pub fn registry(&self) -> Utf8PathBuf {
        self.root.join(LEDGER)
    }

    /// The file of all events, one JSON object per line.
    pub fn events(&self) -> Utf8PathBuf {
        self.root.join("events.jsonl")
    }

    /// The file with the user's settings.
    pub fn settings(&self) -> Utf8PathBuf {
        self.root.join("config.yaml")
    }

    /// The folder of one instance.
    pub fn instance(&self, name: &str) -> Utf8PathBuf {
        self.root.join("instances").join(name)
    }

    /// The isolated kubeconfig of one instance.
    pub fn isolated_kubeconfig(&self, name: &str) -> Utf8PathBuf {
        self.instance(name).join("kubeconfig")
    }

    /// The folder with the certificate authority of one instance and the certificates that it issued.
    pub fn tls(&self, name: &str) -> Utf8PathBuf {
        self.instance(name).join("tls")
    }

    /// The file that names the active instance, and holds nothing else.
    pub fn active_context(&self) -> Utf8PathBuf {
        self.root.join("active-context")
    }

    /// The files that together are the user's kubeconfig: those in `KUBECONFIG`, or `~/.kube/config`.
    pub fn kubeconfigs(&self) -> &[Utf8PathBuf] {
        &self.kubeconfigs
    }

    /// The kubeconfig file that takes new entries and the current context: the first that exists, else the last
    /// (client-go, tools/clientcmd/loader.go, `GetDefaultFilename`).
    pub fn merged_kubeconfig(&self) -> &Utf8Path {
        let first = self.kubeconfigs.iter().find(|path| path.exists());
        first.or(self.kubeconfigs.last()).map_or(Utf8Path::new(""), |path| path)
    }

    /// The folder in which built assets are kept.
    pub fn cache(&self) -> &Utf8Path {
        &self.cache
    }

    /// Under sudo, makes the calling user the owner of a file or folder; otherwise does nothing.
    ///
    /// # Errors
    /// The error of `chown`.
    pub fn adopt(&self, path: &Utf8Path) -> std::io::Result<()> {
        self.user.map_or(Ok(()), |User { uid, gid }| chown(path, Some(uid), Some(gid)))
    }

    /// As [`Self::adopt`], for a folder and everything in it.
    ///
    /// # Errors
    /// The file system's error; the files before it have their new owner.
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

    /// Makes a folder and its parents. New folders have mode 0700 and are owned by the home's user.
    ///
    /// # Errors
    /// The file system's error; parents that were made stay.
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
