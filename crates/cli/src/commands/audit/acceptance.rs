//! Parses `--accept`: classes, and why it is accepted that they are not covered. Pure.

use harness::audit::{Acceptance, Class, ClassId, UnknownClass};

/// The acceptances of one option, one for each class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Accepted(pub(super) Vec<Acceptance>);

/// Parses `C9=REASON` and `C5,C6,S4-S15=REASON`.
pub(super) fn parse(text: &str) -> Result<Accepted, String> {
    let wrong = || {
        "it must be CLASSES=REASON, for instance 'C9=tried by hand' or 'C5,S4-S15=tried by hand'".to_owned()
    };
    let (classes, reason) = text.split_once('=').ok_or_else(wrong)?;
    let reason = Some(reason.trim()).filter(|reason| !reason.is_empty()).ok_or_else(wrong)?;
    let mut all = Vec::new();
    for part in classes.split(',') {
        all.extend(match part.split_once('-') {
            None => vec![class(part)?],
            Some((first, last)) => {
                between(class(first)?, class(last)?).ok_or_else(|| format!("no classes '{part}'"))?
            }
        });
    }
    let acceptance = |class| Acceptance { class, reason: reason.to_owned(), by: "--accept".to_owned() };
    Ok(Accepted(all.into_iter().map(acceptance).collect()))
}

fn class(text: &str) -> Result<ClassId, String> {
    text.trim().parse().map_err(|error: UnknownClass| error.to_string())
}

/// The classes from one to another of the same group. `None` if there are none.
fn between(first: ClassId, last: ClassId) -> Option<Vec<ClassId>> {
    let all = Class::all().map(|class| class.id).filter(|id| (first..=last).contains(id));
    Some(all.collect()).filter(|all: &Vec<ClassId>| !all.is_empty() && first.group() == last.group())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(text: &str) -> Result<String, String> {
        let Accepted(all) = parse(text)?;
        assert!(all.iter().all(|one| one.reason == "tried by hand" && one.by == "--accept"));
        Ok(all.iter().map(|one| one.class.to_string()).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn one_reason_accepts_a_class_a_list_and_a_range() {
        assert_eq!(ids("c9=tried by hand").unwrap(), "C9");
        assert_eq!(ids("C5,N1,S13-S15= tried by hand").unwrap(), "C5 N1 S13 S14 S15");
    }

    #[test]
    fn an_unknown_class_an_empty_range_and_a_missing_reason_are_errors() {
        let error = |text| ids(text).unwrap_err();
        assert!(error("C9").starts_with("it must be CLASSES=REASON"));
        assert!(error("C9= ").starts_with("it must be CLASSES=REASON"));
        assert_eq!(error("X1=tried by hand"), "no class 'X1'");
        assert_eq!(error("S15-S4=tried by hand"), "no classes 'S15-S4'");
        assert_eq!(error("C1-S4=tried by hand"), "no classes 'C1-S4'");
    }
}
