//! What fuzz targets may call of what is private: a function for each tool of the host, which has all readers of its
//! answers read one text. No part of the product uses it. Next in the flow: `tests/fuzz`.

pub use crate::engine::{read_podman, read_vagrant, read_virtualbox};
pub use crate::fabric::read_nft;
pub use crate::watch::read_netlink;
