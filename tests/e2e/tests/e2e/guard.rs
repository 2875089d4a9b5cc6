//! Changes of the host that other programs make: homelab reports and reverts each. The tests use real rules, routes,
//! links and settings, in a separate network per test (`ci/alone`), with the links of two clients and no cluster.

mod host;
mod kept;
mod opened;
mod ways;
mod watched;
