//! The Rust code of the documentation's pages, a file for each block. A unit test compares the blocks with these files.

mod audit_a_change;
mod first_test;
mod keep;
mod pods;
mod readme;
