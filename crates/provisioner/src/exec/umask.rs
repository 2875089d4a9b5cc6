//! What is made for all can be read by all, whoever calls us: files get 0644, folders 0755.
//!
//! A umask belongs to a whole process. So each program of ours fixes it once, when it begins, and that covers what it
//! writes, what it starts, and what these pack: the layers of images, the folders of nodes, drop-ins of name servers. A
//! wrapper around children would leave out what we write ourselves, and a mode at each call is forgotten at the next.
//! What is private is made with a mode of its own, 0600 or 0700, and does not count on this.

use std::sync::OnceLock;

use rustix::fs::Mode;
use rustix::process::umask;

/// Nobody but the owner writes; everybody reads.
const OURS: Mode = Mode::WGRP.union(Mode::WOTH);

/// The caller's own, for a session that we hand over.
static CALLERS: OnceLock<Mode> = OnceLock::new();

/// Fixes this process's umask. For programs, at their beginning: `homelab`, and a fixture in the process of its test.
pub fn fix_umask() {
    let before = umask(OURS);
    // Only the first one is the caller's.
    let _ = CALLERS.set(before);
}

/// Gives the caller's umask back, if it was ever fixed.
pub(super) fn give_back() {
    if let Some(callers) = CALLERS.get() {
        umask(*callers);
    }
}
