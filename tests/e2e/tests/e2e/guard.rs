//! The host changes behind our back: each change is told and put back. Real rules, routes, links and settings, in a
//! network of each test's own (`ci/alone`), with the wires of two clients and no cluster.

mod host;
mod kept;
mod opened;
mod ways;
mod watched;
