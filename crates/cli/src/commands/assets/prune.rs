//! `homelab assets prune`: removes old node images, stores, boxes and binaries.

use clap::Args;
use provisioner::assets::{Artefact, Decision, Pruned};
use serde::Serialize;

use crate::app::App;
use crate::exit::{CliError, Exit};
use crate::printer::json;
use crate::table::table;
use crate::values::Format;
use crate::words;

/// Remove old artefacts from the cache
///
/// Each version of homelab has its own recipe, and its artefacts stay in the cache, about 5 GiB a version. This command
/// removes Debian trees, binaries, root file systems, image archives, container stores and boxes that no recipe of this
/// homelab has and no node on this host uses, and the leftovers of killed builds. Nodes of all homes on this host
/// count: containers, running or not, mounts, and the disks of VMs. If it is unknown whether an artefact is in use, for
/// instance because podman does not answer, the artefact stays and is named.
///
/// Nothing is removed while assets are built, imported or exported, or while nodes start. Another version of homelab
/// that shares this cache has to build its own artefacts again.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sudo homelab assets prune --dry-run
  sudo homelab assets prune
  sudo homelab assets prune --format json | jq .freedBytes")]
pub(crate) struct Prune {
    /// Remove nothing, and show what would be removed
    #[arg(long)]
    dry_run: bool,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

impl Prune {
    pub(super) async fn run(self, app: &App) -> Result<Exit, CliError> {
        app.must_be_root()?;
        let pruned = app.provisioner.prune_assets(self.dry_run).await?;
        match self.format {
            Format::Text => {
                app.printer.result(&text(&pruned));
                app.printer.done(&summary(&pruned, self.dry_run));
            }
            Format::Json => {
                let cache = app.provisioner.assets().folder().as_str();
                app.printer.result(&json(&PruneView::of(&pruned, self.dry_run, cache)));
            }
        }
        Ok(Exit::Ok)
    }
}

/// The artefacts that are not of this homelab's recipes, one a line, with their fate. Pure.
fn text(pruned: &Pruned) -> String {
    let header = ["KIND", "DIGEST", "SIZE", "FATE"].map(str::to_owned).to_vec();
    let rows: Vec<Vec<String>> = pruned
        .artefacts
        .iter()
        .filter(|artefact| artefact.fate != Decision::Current)
        .map(|artefact| {
            let (kind, digest) = (artefact.kind.title().to_owned(), artefact.digest.clone());
            vec![kind, digest, words::size(artefact.bytes), fate(artefact)]
        })
        .collect();
    if rows.is_empty() {
        String::new()
    } else {
        table(&std::iter::once(header).chain(rows).collect::<Vec<_>>())
    }
}

fn fate(artefact: &Artefact) -> String {
    match &artefact.fate {
        Decision::Current => "stays: this homelab's".to_owned(),
        Decision::Used(by) => format!("stays: used by {}", words::list(by)),
        Decision::UnreadSource(why) => format!("stays: {why}"),
        Decision::Old => "old".to_owned(),
    }
}

fn summary(pruned: &Pruned, is_dry: bool) -> String {
    let count =
        |is: fn(&Decision) -> bool| pruned.artefacts.iter().filter(|artefact| is(&artefact.fate)).count();
    let old = count(|fate| *fate == Decision::Old);
    let (current, used) =
        (count(|fate| *fate == Decision::Current), count(|fate| matches!(fate, Decision::Used(_))));
    let unjudged = count(|fate| matches!(fate, Decision::UnreadSource(_)));
    let verb = if is_dry { "would be removed" } else { "removed" };
    let mut kept = vec![format!("{current} of this homelab's recipes")];
    if used > 0 {
        kept.push(format!("{used} in use"));
    }
    if unjudged > 0 {
        kept.push(format!("{unjudged} that may be in use"));
    }
    let freed = words::size(pruned.freed);
    format!("{} {verb}, {freed} of disk; kept: {}", words::count(old, "artefact"), words::list(&kept))
}

/// `homelab assets prune --format json`
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
struct PruneView<'a> {
    /// The version of this format.
    version: u32,
    /// The cache folder.
    cache: &'a str,
    /// Whether this is a dry run: `old` artefacts were not removed.
    dry_run: bool,
    /// Disk space that the removal frees; files shared with artefacts that stay are not counted.
    freed_bytes: u64,
    /// All finished artefacts in the cache before the removal.
    artefacts: Vec<ArtefactView<'a>>,
}

/// An artefact.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
struct ArtefactView<'a> {
    /// `debian`, `binaries`, `root`, `images`, `store`, `boxes`.
    kind: &'static str,
    /// The first 16 digits of the digest of its inputs.
    digest: &'a str,
    /// Its folder.
    path: &'a str,
    /// The disk space of its files; files that it shares with others count in each.
    bytes: u64,
    /// `current`, `used` and `unjudged` artefacts stay; `old` ones are removed.
    fate: &'static str,
    /// The containers, mounts and disks that use it; empty unless the fate is `used`.
    used_by: &'a [String],
    /// Why it is unknown whether it is in use; null unless the fate is `unjudged`.
    why: Option<&'a str>,
}

impl<'a> PruneView<'a> {
    fn of(pruned: &'a Pruned, dry_run: bool, cache: &'a str) -> Self {
        let artefacts = pruned.artefacts.iter().map(ArtefactView::of).collect();
        Self { version: 1, cache, dry_run, freed_bytes: pruned.freed, artefacts }
    }
}

impl<'a> ArtefactView<'a> {
    fn of(artefact: &'a Artefact) -> Self {
        let (fate, used_by, why) = match &artefact.fate {
            Decision::Current => ("current", &[][..], None),
            Decision::Used(by) => ("used", by.as_slice(), None),
            Decision::UnreadSource(why) => ("unjudged", &[][..], Some(why.as_str())),
            Decision::Old => ("old", &[][..], None),
        };
        Self {
            kind: artefact.kind.as_str(),
            digest: &artefact.digest,
            path: artefact.path.as_str(),
            bytes: artefact.bytes,
            fate,
            used_by,
            why,
        }
    }
}

#[cfg(test)]
mod tests {
    use provisioner::assets::Kind;

    use super::*;

    fn pruned() -> Pruned {
        let artefact = |kind: Kind, digest: &str, fate| Artefact {
            kind,
            digest: digest.repeat(16),
            path: format!("/cache/{}/{}", kind.as_str(), digest.repeat(16)).into(),
            bytes: 1_288_490_188,
            fate,
        };
        let container = "container homelab-1a2b3c.acme-main".to_owned();
        let why = "podman cannot say what its containers use: database is locked".to_owned();
        Pruned {
            artefacts: vec![
                artefact(Kind::Debian, "0", Decision::Current),
                artefact(Kind::Root, "1", Decision::Used(vec![container])),
                artefact(Kind::Store, "2", Decision::UnreadSource(why)),
                artefact(Kind::Binaries, "3", Decision::Old),
            ],
            freed: 734_003_200,
        }
    }

    #[test]
    fn removed_and_kept_artefacts_are_listed_with_the_reason() {
        let nothing = Pruned { artefacts: vec![pruned().artefacts[0].clone()], freed: 0 };
        insta::assert_snapshot!(format!(
            "{}{}\n{}\n{}{}",
            text(&pruned()),
            summary(&pruned(), true),
            summary(&pruned(), false),
            text(&nothing),
            summary(&nothing, false)
        ));
    }

    #[test]
    fn the_schema_is_published() {
        let pruned = pruned();
        let view = PruneView::of(&pruned, true, "/cache");
        crate::commands::instance::tests::published("assets-prune.json", &[view]);
    }
}
