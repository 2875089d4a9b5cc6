//! Restores the host guard before a verb that works with instances begins, and words the findings about the guard.

use provisioner::error::chain;
use provisioner::fabric::{FabricError, Inspection, Restoration};

use crate::app::App;
use crate::printer::Mark;

/// The command that restores the guard and does nothing else.
pub(crate) const REMEDY: &str = "sudo homelab watch --once";

/// Restores the guard if this process is root, and reports what differed on stderr. Returns the same lines for
/// `status`.
pub(crate) async fn keep(app: &App) -> Vec<String> {
    if !rustix::process::geteuid().is_root() {
        return Vec::new();
    }
    let kept = app.provisioner.keep_guard().await;
    let told = told(&kept);
    if let Some((mark, lines)) = &told {
        lines.iter().for_each(|line| app.printer.line(*mark, line));
    }
    told.map(|(_, lines)| lines).unwrap_or_default()
}

/// The report on a guard that had to be restored or could not be; `None` if the guard is intact or not needed. Pure.
pub(crate) fn told(kept: &Result<Restoration, FabricError>) -> Option<(Mark, Vec<String>)> {
    match kept {
        Ok(Restoration::NotNeeded | Restoration::AsBuilt) => None,
        Ok(Restoration::Restored { deviations }) => {
            let mut lines = vec![
                "the host guard was not intact and has been restored; until now, instances may have reached the host \
                 or each other"
                    .to_owned(),
            ];
            lines.extend(deviations.iter().map(|deviation| format!("the host guard: {deviation}")));
            lines.push("`sudo homelab watch` restores the guard as soon as it is changed".to_owned());
            Some((Mark::Bad, lines))
        }
        Ok(Restoration::Opened { by }) => {
            let by = by.map(|pid| format!(", process {pid},")).unwrap_or_default();
            Some((
                Mark::Busy,
                vec![format!("a self-test of the audit{by} has opened the host guard, and will close it")],
            ))
        }
        Err(error) => {
            Some((Mark::Bad, vec![format!("the host guard could not be restored: {}", chain(error))]))
        }
    }
}

/// The problems of a guard that the caller does not restore, the command that restores it first. Pure.
pub(crate) fn problems(look: &Result<Option<Inspection>, FabricError>) -> Vec<String> {
    match look {
        Ok(None) => Vec::new(),
        Ok(Some(look)) => {
            let mut lines: Vec<String> =
                look.deviations.iter().map(|deviation| format!("the host guard: {deviation}")).collect();
            if !look.is_as_built() {
                lines.insert(0, format!("the host guard is not intact: `{REMEDY}` restores it"));
            }
            lines
        }
        Err(error) => vec![format!("the host guard cannot be inspected: {}", chain(error))],
    }
}

#[cfg(test)]
mod tests {
    use provisioner::fabric::Deviation;

    use super::*;

    fn setting() -> Deviation {
        Deviation::Setting {
            key: "net/ipv4/conf/hl-0a1b2c/forwarding".to_owned(),
            found: "1".to_owned(),
            wanted: "0".to_owned(),
        }
    }

    #[test]
    fn a_restored_guard_is_reported_with_all_deviations() {
        let deviations = vec![Deviation::NoTable, setting()];
        let (mark, lines) =
            told(&Ok(Restoration::Restored { deviations })).expect("there is something to say");
        assert_eq!(mark, Mark::Bad);
        insta::assert_snapshot!(lines.join("\n"));
        assert!(told(&Ok(Restoration::AsBuilt)).is_none() && told(&Ok(Restoration::NotNeeded)).is_none());
        let (_, opened) =
            told(&Ok(Restoration::Opened { by: Some(4711) })).expect("there is something to say");
        assert_eq!(
            opened,
            ["a self-test of the audit, process 4711, has opened the host guard, and will close it"]
        );
    }

    #[test]
    fn problems_of_the_guard_are_the_deviations_and_the_command_that_restores_it() {
        let look = |deviations| Ok(Some(Inspection { deviations, has_rules: true }));
        let of_all = Deviation::SettingOfAll {
            key: "net.ipv4.conf.all.proxy_arp".to_owned(),
            found: "1".to_owned(),
            wanted: "0".to_owned(),
        };
        insta::assert_snapshot!(
            problems(&look(vec![Deviation::NoTable, setting(), of_all.clone()])).join("\n")
        );
        // homelab does not restore a foreign setting, so it names no command of its own for it.
        assert_eq!(problems(&look(vec![of_all.clone()])), [format!("the host guard: {of_all}")]);
        assert!(problems(&look(Vec::new())).is_empty() && problems(&Ok(None)).is_empty());
    }
}
