//! Names as `homelab dns list` shows them, to people and to programs. Pure.

use provisioner::dns::{Dns, Recorded};
use provisioner::{Names, NamesState};
use serde::Serialize;

use crate::table::table;
use crate::words;

/// The list for people.
pub(super) fn text(names: &[Names]) -> String {
    let header = ["NAME", "SUFFIX", "API", "WORKLOADS", "RECORDS"].map(str::to_owned).to_vec();
    let rows = names.iter().map(|one| {
        let dash = || "-".to_owned();
        let view = NameView::of(one);
        let cells = [Some(view.instance), view.suffix, view.api, view.workloads, Some(view.state)];
        let cells = cells.into_iter().map(|cell| cell.unwrap_or_else(dash));
        cells.chain(view.problem).collect()
    });
    table(&std::iter::once(header).chain(rows).collect::<Vec<_>>())
}

/// Hints about the problems in the list, and about the limits of the DNS provider.
pub(super) fn hints(names: &[Names], dns: &Dns) -> Vec<String> {
    let mut hints = Vec::new();
    if names.iter().any(|one| !matches!(one.state(), NamesState::Recorded | NamesState::Damaged)) {
        hints.push("`sudo homelab dns sync` corrects the records".to_owned());
    }
    match dns {
        Dns::None => {
            hints.push("dns.provider in config.yaml is none: names resolve inside the clusters only".to_owned())
        }
        Dns::Hosts { file, .. } if !names.is_empty() => hints.push(format!(
            "{} has no wildcards: `dns: {{ provider: dnsmasq }}` in config.yaml resolves every name below a suffix",
            words::own_path(file)
        )),
        Dns::Hosts { .. } | Dns::Dnsmasq { .. } => {}
    }
    hints
}

/// `homelab dns list --format json`
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct ListView {
    /// The version of this format.
    version: u32,
    /// What resolves names on this host: `hosts`, `dnsmasq` or `none`.
    provider: &'static str,
    /// Its file or folder; null for `none`.
    place: Option<String>,
    /// The names of each instance, and recorded names that belong to no instance.
    names: Vec<NameView>,
}

/// The names of one instance.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
struct NameView {
    /// The instance.
    instance: String,
    /// The DNS suffix, `acme.lab`; null if the record cannot be read.
    suffix: Option<String>,
    /// The address of `api.` and the suffix; null if the record cannot be read.
    api: Option<String>,
    /// The address of the suffix itself and of every other name below it; null if the record cannot be read.
    workloads: Option<String>,
    /// `recorded`, `missing`, `outdated`, `stale` or `damaged`.
    state: String,
    /// The file with the record, and its line if there is one; null if nothing is recorded.
    recorded_in: Option<String>,
    /// Why the record cannot be read; null if it can.
    problem: Option<String>,
}

impl ListView {
    pub(super) fn of(names: &[Names], dns: &Dns) -> Self {
        let provider = match dns {
            Dns::Hosts { .. } => "hosts",
            Dns::Dnsmasq { .. } => "dnsmasq",
            Dns::None => "none",
        };
        let place = dns.place().map(ToString::to_string);
        Self { version: 1, provider, place, names: names.iter().map(NameView::of).collect() }
    }
}

impl NameView {
    fn of(names: &Names) -> Self {
        let (found, place, why) = match &names.recorded {
            Some(Recorded::Sound { records, place }) => (Some(records), Some(place), None),
            Some(Recorded::Damaged { place, why, .. }) => (None, Some(place), Some(why)),
            None => (None, None, None),
        };
        let records = names.wanted.as_ref().or(found);
        Self {
            instance: names.instance.clone(),
            suffix: records.map(|records| records.suffix.clone()),
            api: records.map(|records| records.api_address.to_string()),
            workloads: records.map(|records| records.workload_address.to_string()),
            state: names.state().to_string(),
            recorded_in: place.cloned(),
            problem: why.zip(place).map(|(why, place)| format!("{place}: {why}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use provisioner::dns::Records;
    use provisioner::plan::InstanceId;

    use super::*;

    fn records(name: &str, third: u8) -> Records {
        Records {
            id: InstanceId { home: "012345".to_owned(), name: name.to_owned() },
            suffix: format!("{name}.lab"),
            api_address: [192, 168, third, 10].into(),
            workload_address: [192, 168, third, 21].into(),
        }
    }

    fn some() -> Vec<Names> {
        let place = |line: u8| format!("/etc/hosts:{line}");
        let sound = |records, line| Some(Recorded::Sound { records, place: place(line) });
        let damaged =
            Recorded::Damaged { instance: "torn".to_owned(), place: place(9), why: "it has no end" };
        let names = |name: &str, wanted, recorded| Names { instance: name.to_owned(), wanted, recorded };
        vec![
            names("acme", Some(records("acme", 60)), sound(records("acme", 60), 6)),
            names("globex", Some(records("globex", 61)), sound(records("globex", 99), 12)),
            names("personal", Some(records("personal", 62)), None),
            names("gone", None, sound(records("gone", 63), 18)),
            names("torn", None, Some(damaged)),
        ]
    }

    #[test]
    fn the_list_shows_the_wanted_names_the_problems_and_the_remedies() {
        let names = some();
        let hints = hints(&names, &Dns::etc_hosts()).join("\n");
        insta::assert_snapshot!(format!("{}{hints}", text(&names)));
    }

    #[test]
    fn the_list_is_as_published() {
        let views = [ListView::of(&some(), &Dns::etc_hosts()), ListView::of(&[], &Dns::None)];
        crate::commands::instance::tests::published("dns-list.json", &views);
    }

    #[test]
    fn programs_get_every_field_by_name() {
        insta::assert_json_snapshot!(ListView::of(&some(), &Dns::etc_hosts()));
    }

    #[test]
    fn without_problems_the_only_hints_are_the_limits_of_the_provider() {
        let names = &some()[..1];
        let dnsmasq = Dns::Dnsmasq { folder: "/etc/dnsmasq.d".into(), restart: None };
        assert_eq!(hints(names, &dnsmasq), [""; 0]);
        assert_eq!(hints(names, &Dns::etc_hosts()).len(), 1);
        assert_eq!(hints(&[], &Dns::etc_hosts()), [""; 0]);
    }
}
