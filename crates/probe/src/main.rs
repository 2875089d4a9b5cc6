//! probe.
fn main() {}
