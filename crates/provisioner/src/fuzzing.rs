//! Private functions that the fuzz targets may call: one for each host tool, which passes a text to all parsers of that
//! tool's output. No part of the product uses this module. Next in the flow: `tests/fuzz`.

pub use crate::engine::{read_podman, read_vagrant, read_virtualbox};
pub use crate::fabric::read_nft;
pub use crate::watch::read_netlink;
