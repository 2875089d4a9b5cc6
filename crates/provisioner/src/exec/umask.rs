//! Fixes the umask at 022, so that public files get 0644 and folders 0755 whatever the caller's umask is.
//!
//! A umask belongs to a whole process. So each of our programs fixes it once, at its start. That covers what the
//! program writes, what its child processes write, and what they pack: layers of images, folders of nodes, drop-ins of
//! name servers. A wrapper around child processes would not cover what we write ourselves, and a mode at each call
//! would be forgotten at some call. Private files are made with an explicit mode, 0600 or 0700, and do not depend on
//! the umask.

use std::sync::OnceLock;

use rustix::fs::Mode;
use rustix::process::umask;

/// 022: only the owner may write.
const OURS: Mode = Mode::WGRP.union(Mode::WOTH);

/// The caller's umask, for the program that [`super::replace`] starts.
static CALLERS: OnceLock<Mode> = OnceLock::new();

/// Sets this process's umask to 022. Called at the start of `homelab`, and by a fixture in the process of its test.
pub fn fix_umask() {
    let before = umask(OURS);
    // Only the first call finds the caller's umask.
    let _ = CALLERS.set(before);
}

/// Restores the caller's umask, if [`fix_umask`] was called.
pub(super) fn give_back() {
    if let Some(callers) = CALLERS.get() {
        umask(*callers);
    }
}
