//! Judges the differences of the host from what was planned (S4 to S15).
//!
//! A difference that opens a path is a leak, from each instance that it touches to each other one, or to the host where
//! it touches no other one. A difference of which no path is known is inconclusive: nothing explains why it is
//! there. One that is explained is neither.

use crate::audit::structure::{Difference, DifferenceKind, Effect, Structure};
use crate::audit::subject::Subject;
use crate::audit::verdict::Judgement;

/// The most differences in one sentence.
const SHOWN: usize = 6;

/// Judges the differences of one kind from a source to a target (`None`: the host).
pub(super) fn judge(
    kind: DifferenceKind,
    (source, target): (&Subject, Option<&Subject>),
    all: &[Subject],
    structure: Option<&Result<Structure, String>>,
) -> Judgement {
    let structure = match structure {
        None => return Judgement::inconclusive("the host's structure was not looked at"),
        Some(Err(why)) => {
            return Judgement::inconclusive(format!("the host's structure could not be read: {why}"));
        }
        Some(Ok(structure)) => structure,
    };
    let touches = |difference: &&Difference| match target {
        Some(target) => {
            difference.instances.contains(&source.name) && difference.instances.contains(&target.name)
        }
        // A name of no subject counts for all of them, so that no difference is left out.
        None => {
            let is_other = |subject: &Subject| subject.name != source.name;
            let mut others = all.iter().filter(|subject| is_other(subject));
            !others.any(|subject| difference.instances.contains(&subject.name))
        }
    };
    let of_kind = structure.differences.iter().filter(|difference| difference.kind == kind).filter(touches);
    let (explained, found): (Vec<_>, Vec<_>) = of_kind.partition(|difference| difference.explained.is_some());
    let (open, unplanned): (Vec<&Difference>, Vec<_>) =
        found.into_iter().partition(|difference| difference.effect == Effect::OpensPath);
    if !open.is_empty() {
        return Judgement::leak(listed(&open));
    }
    if !unplanned.is_empty() {
        let listed = listed(&unplanned);
        return Judgement::inconclusive(format!("not planned, and it is unknown what it opens: {listed}"));
    }
    if !structure.unread.is_empty() {
        let unread: Vec<&str> = structure.unread.iter().map(String::as_str).collect();
        return Judgement::inconclusive(format!("not all of the host could be read: {}", first(&unread)));
    }
    let explained = match explained.len() {
        0 => String::new(),
        count => format!("; {count} additions are explained by the pod network, the hypervisor or the audit"),
    };
    Judgement::isolated(format!("everything that was found is planned{explained}"))
}

fn listed(differences: &[&Difference]) -> String {
    let sentences: Vec<String> = differences
        .iter()
        .map(|difference| match difference.planned.as_str() {
            "" => difference.found.clone(),
            planned => format!("{} (planned: {planned})", difference.found),
        })
        .collect();
    first(&sentences.iter().map(String::as_str).collect::<Vec<_>>())
}

/// The first of these sentences, and the number of the others.
fn first(sentences: &[&str]) -> String {
    let shown = sentences.iter().take(SHOWN).copied().collect::<Vec<_>>().join("; ");
    match sentences.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown}; and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::sample::subject;
    use crate::audit::structure::Explanation;
    use crate::audit::verdict::Verdict;

    fn difference(instances: &[&str], effect: Effect, explained: Option<Explanation>) -> Difference {
        Difference {
            kind: DifferenceKind::Links,
            instances: instances.iter().map(|name| (*name).to_owned()).collect(),
            effect,
            planned: "one link".to_owned(),
            found: "another link".to_owned(),
            explained,
        }
    }

    /// The verdicts from acme to globex, from acme to the host, and from globex to the host.
    fn verdicts(structure: Option<&Result<Structure, String>>) -> [Verdict; 3] {
        let (acme, globex) = (subject("acme", 60, 1), subject("globex", 61, 1));
        let all = [acme.clone(), globex.clone()];
        let of = |source, target| judge(DifferenceKind::Links, (source, target), &all, structure).verdict;
        [of(&acme, Some(&globex)), of(&acme, None), of(&globex, None)]
    }

    #[test]
    fn a_path_is_a_leak_where_it_leads_and_what_is_only_unplanned_or_unread_is_inconclusive() {
        use Effect::{OpensPath, Unplanned};
        use Verdict::{Inconclusive, Isolated, Leak};
        let walk = |differences: Vec<Difference>, unread: &[&str]| {
            let unread = unread.iter().map(|line| (*line).to_owned()).collect();
            verdicts(Some(&Ok(Structure { differences, unread })))
        };
        let both = ["acme", "globex"];
        for (expected, found) in [
            ([Isolated; 3], walk(vec![], &[])),
            ([Leak, Isolated, Isolated], walk(vec![difference(&both, OpensPath, None)], &[])),
            ([Isolated, Leak, Isolated], walk(vec![difference(&["acme"], OpensPath, None)], &[])),
            ([Isolated, Isolated, Inconclusive], walk(vec![difference(&["globex"], Unplanned, None)], &[])),
            ([Isolated, Leak, Leak], walk(vec![difference(&[], OpensPath, None)], &[])),
            ([Isolated, Leak, Leak], walk(vec![difference(&["initech"], OpensPath, None)], &[])),
            ([Isolated; 3], walk(vec![difference(&both, OpensPath, Some(Explanation::PodNetwork))], &[])),
            (
                [Leak, Inconclusive, Inconclusive],
                walk(vec![difference(&both, OpensPath, None)], &["a table"]),
            ),
            ([Inconclusive; 3], verdicts(Some(&Err("no root".to_owned())))),
            ([Inconclusive; 3], verdicts(None)),
        ] {
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn differences_of_another_kind_are_not_judged_here() {
        let other = Difference {
            kind: DifferenceKind::Mounts,
            ..difference(&["acme", "globex"], Effect::OpensPath, None)
        };
        let structure = Structure { differences: vec![other], unread: Vec::new() };
        assert_eq!(verdicts(Some(&Ok(structure))), [Verdict::Isolated; 3]);
    }

    #[test]
    fn a_verdict_names_what_was_found_and_planned_and_counts_the_rest() {
        let many = vec![difference(&["acme"], Effect::OpensPath, None); 8];
        let structure = Ok(Structure { differences: many, unread: Vec::new() });
        let acme = subject("acme", 60, 1);
        let judged =
            judge(DifferenceKind::Links, (&acme, None), std::slice::from_ref(&acme), Some(&structure));
        let one = "another link (planned: one link)";
        assert_eq!(judged.why, format!("{}; and 2 more", [one; 6].join("; ")));
    }
}
