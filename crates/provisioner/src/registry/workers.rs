//! The workers of an instance, as a set of numbers instead of a count.
//!
//! A worker's number is in its name, its address and its part of the pod CIDR. The number does not change when another
//! worker is removed. It is free again when this worker is removed.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::request::MOST_WORKERS;

/// The numbers of workers, each between 1 and [`MOST_WORKERS`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "BTreeSet<u8>")]
pub struct Workers(BTreeSet<u8>);

/// A number that is not between 1 and [`MOST_WORKERS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("worker {0}: workers have the numbers 1 to {MOST_WORKERS}")]
pub struct NoWorker(u8);

impl Workers {
    /// The numbers 1 to `count`, as in a new instance; at most [`MOST_WORKERS`].
    pub fn first(count: u8) -> Self {
        Self((1..=count.min(MOST_WORKERS)).collect())
    }

    /// The `count` lowest numbers that are not in this set; fewer if not so many are free.
    #[must_use]
    pub fn free(&self, count: u8) -> Self {
        Self(Self::first(MOST_WORKERS).without(self).numbers().take(count.into()).collect())
    }

    /// The union of both sets.
    #[must_use]
    pub fn with(&self, others: &Self) -> Self {
        Self(&self.0 | &others.0)
    }

    /// The numbers of this set that are not in `others`.
    #[must_use]
    pub fn without(&self, others: &Self) -> Self {
        self.only(|number| !others.0.contains(&number))
    }

    /// The numbers for which `holds` returns `true`.
    #[must_use]
    pub fn only(&self, holds: impl Fn(u8) -> bool) -> Self {
        Self(self.numbers().filter(|number| holds(*number)).collect())
    }

    /// The numbers in ascending order.
    pub fn numbers(&self) -> impl Iterator<Item = u8> {
        self.0.iter().copied()
    }

    /// Whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The count of the numbers.
    pub fn count(&self) -> u8 {
        self.numbers().fold(0, |count, _| count + 1) // no more than MOST_WORKERS
    }
}

impl TryFrom<BTreeSet<u8>> for Workers {
    type Error = NoWorker;

    fn try_from(numbers: BTreeSet<u8>) -> Result<Self, NoWorker> {
        match numbers.iter().find(|number| !(1..=MOST_WORKERS).contains(*number)) {
            Some(number) => Err(NoWorker(*number)),
            None => Ok(Self(numbers)),
        }
    }
}
