//! The program as users see it: the output of every verb that needs neither root nor a cluster.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails, helpers included")]

mod desk;

mod answers;
mod audit;
mod certificates;
mod contexts;
mod environment;
mod events;
mod instances;
mod names;
mod homes;
mod refusals;
