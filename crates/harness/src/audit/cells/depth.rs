//! How much is asked where a question has many ports, protocols or kinds of frames.
//!
//! Between two clusters, one node of each asks everything. Between sixteen there are 240 directions, and everything in each
//! of them would take an hour. So a run has a budget of packets, and draws the directions in which everything is asked.
//! Another run draws others. Pure.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use super::NotAsked;
use crate::audit::class::Depth;
use crate::audit::subject::Subject;
use crate::audit::viewpoint::Viewpoint;

/// The packets of a run that does not have to ask everything: four minutes at the rate of `pace`.
const BUDGET: u64 = 30_000_000;

/// The directions in which everything is asked, by the names of source and target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Depths {
    /// All directions.
    Every,
    /// The drawn ones.
    Drawn(BTreeSet<(String, String)>),
}

impl Depths {
    /// How much a viewpoint of `source` asks of `target`. The last node of the source asks most, so that the cost is per
    /// direction and not per node.
    pub(super) fn of(&self, viewpoint: &Viewpoint, source: &Subject, target: &str) -> Depth {
        let last = source.nodes.last().map(|node| node.name.as_str());
        let is_last = matches!(viewpoint, Viewpoint::Node { node, .. } if Some(node.as_str()) == last);
        let is_drawn = match self {
            Self::Every => true,
            Self::Drawn(drawn) => drawn.contains(&(source.name.clone(), target.to_owned())),
        };
        match (is_drawn, is_last) {
            (true, true) => Depth::Everything,
            (true, false) | (false, true) => Depth::Sample,
            (false, false) => Depth::Few,
        }
    }

    /// Draws directions for a run. `everything` and `least` are the packets of the run if everything is asked in all
    /// directions, and in none. `None` if all fit into the budget.
    ///
    /// # Errors
    /// The error of `least`.
    pub(super) fn drawn<E>(
        run: u32,
        subjects: &[Subject],
        everything: u64,
        least: impl FnOnce() -> Result<u64, E>,
    ) -> Result<Option<Self>, E> {
        if everything <= BUDGET {
            return Ok(None);
        }
        let least = least()?;
        let mut directions = directions(subjects);
        let count = directions.len() as u64;
        let of_one = (everything.saturating_sub(least) / count.max(1)).max(1);
        let fitting = BUDGET.saturating_sub(least) / of_one;
        directions.sort_by_key(|direction| {
            let mut hasher = DefaultHasher::new();
            (run, direction).hash(&mut hasher);
            hasher.finish()
        });
        let fitting = usize::try_from(fitting).unwrap_or(usize::MAX);
        Ok(Some(Self::Drawn(directions.into_iter().take(fitting).collect())))
    }

    /// What the run does not ask because of its budget. `time` is what everything would take.
    pub(super) fn not_asked(&self, subjects: &[Subject], time: Duration) -> Option<NotAsked> {
        let Self::Drawn(drawn) = self else { return None };
        let all = directions(subjects).len();
        Some(NotAsked {
            what: format!("every port, protocol and EtherType in {} of {all} directions", all - drawn.len()),
            why: format!(
                "that would take {} minutes; there a sample was asked, another run draws other directions, and \
                 --exhaustive asks everything",
                time.as_secs().div_ceil(60)
            ),
        })
    }
}

/// All pairs of a source and a target.
fn directions(subjects: &[Subject]) -> Vec<(String, String)> {
    let pair = |one: &Subject, other: &Subject| {
        (one.name != other.name).then(|| (one.name.clone(), other.name.clone()))
    };
    subjects.iter().flat_map(|one| subjects.iter().filter_map(move |other| pair(one, other))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::sample;

    fn subjects(count: u8) -> Vec<Subject> {
        (0..count).map(|number| sample::subject(&format!("i{number}"), number, 1)).collect()
    }

    #[test]
    fn a_run_within_its_budget_asks_everything_everywhere() {
        assert_eq!(Depths::drawn(1, &subjects(2), BUDGET, || Err("it is not asked")), Ok(None));
        assert_eq!(Depths::Every.not_asked(&subjects(2), Duration::ZERO), None);
    }

    #[test]
    fn a_run_beyond_its_budget_draws_as_many_directions_as_fit_and_another_run_draws_others() {
        let subjects = subjects(16);
        let least = BUDGET / 4;
        // 240 directions, each of which takes an eightieth of what remains.
        let everything = least + 3 * (BUDGET - least);
        let of = |run| match Depths::drawn(run, &subjects, everything, || Ok::<_, ()>(least)) {
            Ok(Some(Depths::Drawn(drawn))) => drawn,
            other => panic!("{other:?}"),
        };
        assert_eq!((of(1).len(), of(2).len()), (80, 80));
        assert_eq!(of(1), of(1));
        assert_ne!(of(1), of(2));
        let told = Depths::Drawn(of(1)).not_asked(&subjects, Duration::from_secs(3601)).unwrap();
        assert_eq!(told.what, "every port, protocol and EtherType in 160 of 240 directions");
        assert!(told.why.starts_with("that would take 61 minutes"), "{}", told.why);
    }

    #[test]
    fn only_the_last_node_of_a_source_asks_everything_and_only_in_drawn_directions() {
        let acme = sample::subject("acme", 60, 1);
        let node = |name: &str| Viewpoint::Node {
            instance: acme.name.clone(),
            node: name.to_owned(),
            by: crate::audit::viewpoint::Route::Host,
        };
        let (last, first) = (node(&acme.nodes.last().unwrap().name), node(&acme.nodes[0].name));
        assert_ne!(last, first);
        let none = Depths::Drawn(BTreeSet::new());
        let depths = |of: &Depths| (of.of(&last, &acme, "globex"), of.of(&first, &acme, "globex"));
        assert_eq!(depths(&Depths::Every), (Depth::Everything, Depth::Sample));
        assert_eq!(depths(&none), (Depth::Sample, Depth::Few));
    }
}
