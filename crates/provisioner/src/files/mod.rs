//! Reads, replaces and locks files on this host: those of homelab and those of others.
//!
//! Only regular files are read and changed. A device, a pipe, a socket or a folder in a file's place is refused with
//! its path, and the check never blocks. After a crash, a file that [`replace`] writes has the old content or the new.
//! A file of others ([`Foreign`]: a kubeconfig, `/etc/hosts`) also keeps its owner, its mode, its access control list
//! and the links that lead to it. One process at a time changes a file ([`Lock`]).
//!
//! This module knows nothing of what is in a file.

mod error;
mod regular;
mod lock;
mod replace;
mod keep;
mod foreign;

pub use error::{FileError, Unfit, failed};
pub use foreign::{Foreign, Fresh, demand_room_for_files};
pub use lock::Lock;
pub use regular::{open, read, read_text, regular};
pub use replace::{replace, replace_public, sweep};
