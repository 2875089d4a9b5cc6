//! When an instance's certificates end, and the problems that follow. Pure.

use std::collections::BTreeMap;

use jiff::Timestamp;
use provisioner::registry::{Instance, State};
use provisioner::tls::CertificateState;
use provisioner::{Dated, DatedKind};
use serde::Serialize;

use super::findings::Finding;
use crate::words;

/// A certificate for programs.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(super) struct CertificateView {
    /// Its file below `/etc/kubernetes` of its node; on this host, its file or its DNS names.
    what: String,
    /// The node that has it; null if it is on this host.
    node: Option<String>,
    /// When it ends (RFC 3339); null if it cannot be read.
    not_after: Option<String>,
    /// `valid`, `expiring` (within 30 days), `expired` or `unreadable`.
    status: String,
}

/// The certificates as programs get them.
pub(super) fn views(all: &[Dated], now: Timestamp) -> Vec<CertificateView> {
    let view = |one: &Dated| CertificateView {
        what: one.what.clone(),
        node: one.node.clone(),
        not_after: one.certificate.as_ref().ok().map(|about| about.not_after.to_string()),
        status: one
            .certificate
            .as_ref()
            .map_or_else(|_| "unreadable".to_owned(), |about| about.standing(now).to_string()),
    };
    all.iter().map(view).collect()
}

/// The certificate that ends first, as a line: `the first of 31 ends on 2027-11-28: kubeconfig`. `None` if none can be
/// read.
pub(super) fn first_end(all: &[Dated]) -> Option<String> {
    let ends = all.iter().filter_map(|one| Some((one.certificate.as_ref().ok()?.not_after, one)));
    let (end, first) = ends.min_by_key(|(end, _)| *end)?;
    Some(format!("the first of {} ends on {}: {}", all.len(), day(end), named(first)))
}

/// The problems: certificates that have ended, end within 30 days, or cannot be read. Certificates of one kind that end
/// on the same day on the same node are one problem.
pub(super) fn ending(instance: &Instance, all: &[Dated], now: Timestamp) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut groups: BTreeMap<(DatedKind, Option<&str>, bool, String), Vec<String>> = BTreeMap::new();
    for one in all {
        match &one.certificate {
            Err(why) => {
                findings.push(Finding::Problem(format!("certificate {} cannot be read: {why}", named(one))));
            }
            Ok(about) => match about.standing(now) {
                CertificateState::Valid | CertificateState::Orphaned => {}
                standing @ (CertificateState::Expiring | CertificateState::Expired) => {
                    let key = (
                        one.kind,
                        one.node.as_deref(),
                        standing == CertificateState::Expired,
                        day(about.not_after),
                    );
                    groups.entry(key).or_default().push(one.what.clone());
                }
            },
        }
    }
    findings.extend(groups.into_iter().map(|((kind, node, has_ended, day), what)| {
        let place = node.map(|node| format!(" on {node}")).unwrap_or_default();
        let verb = if has_ended { "ended" } else { "end" };
        let remedy = remedy(instance, kind, &what);
        Finding::Problem(format!("certificates{place} {verb} on {day}: {}; {remedy}", words::list(&what)))
    }));
    findings
}

/// The command that renews certificates of a kind.
fn remedy(instance: &Instance, kind: DatedKind, what: &[String]) -> String {
    let name = &instance.name;
    match (kind, instance.state) {
        (DatedKind::Cluster, State::Halted | State::Paused) => {
            format!("`sudo homelab start {name}` renews them")
        }
        (DatedKind::Cluster, _) => format!("`sudo homelab k8s renew-certs {name}` renews them"),
        (DatedKind::ClusterAuthority, _) => {
            "a cluster's authorities cannot be renewed: move its workloads to a new instance".to_owned()
        }
        (DatedKind::Authority, _) => format!("`homelab tls rotate --instance {name}` replaces the authority"),
        (DatedKind::Leaf, _) => {
            format!(
                "`homelab tls issue --instance {name} {}` issues it again",
                what.first().map_or("", String::as_str)
            )
        }
    }
}

/// `kubelet on acme-w-1`, or only `kubeconfig` if it is on this host.
fn named(one: &Dated) -> String {
    one.node.as_ref().map_or_else(|| one.what.clone(), |node| format!("{} on {node}", one.what))
}

/// The day, in UTC.
fn day(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d").to_string()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::commands::instance::tests::running;
    use crate::commands::tls::tests::certificate;

    /// Certificates that end on 2027-02-03, and one that cannot be read.
    pub(in crate::commands::status) fn some() -> Vec<Dated> {
        let dated = |kind, node: Option<&str>, what: &str| Dated {
            kind,
            node: node.map(str::to_owned),
            what: what.to_owned(),
            certificate: Ok(certificate(what, &[], 0x22)),
        };
        let torn = Dated {
            certificate: Err("it is not PEM".to_owned()),
            ..dated(DatedKind::Cluster, Some("acme-cp-1"), "scheduler.conf")
        };
        vec![
            dated(DatedKind::Cluster, None, "kubeconfig"),
            dated(DatedKind::ClusterAuthority, None, "pki/ca.crt"),
            dated(DatedKind::Authority, None, "HomeLab CA - acme"),
            dated(DatedKind::Leaf, None, "app.acme.lab www.acme.lab"),
            dated(DatedKind::Cluster, Some("acme-cp-1"), "pki/apiserver.crt"),
            dated(DatedKind::Cluster, Some("acme-cp-1"), "kubelet"),
            torn,
            dated(DatedKind::Cluster, Some("acme-w-1"), "kubelet"),
        ]
    }

    fn at(day: &str) -> Timestamp {
        format!("{day}T12:00:00Z").parse().expect("a time")
    }

    #[test]
    fn a_certificate_is_a_problem_in_its_last_month_and_is_shown_with_the_remedy() {
        let acme = running("acme");
        let told = |instance: &Instance, now| {
            let problems = ending(instance, &some(), now).into_iter().map(|finding| match finding {
                Finding::Problem(text) | Finding::Note(text) => text,
            });
            problems.collect::<Vec<_>>().join("\n")
        };
        let early = told(&acme, at("2027-01-03"));
        assert_eq!(early, "certificate scheduler.conf on acme-cp-1 cannot be read: it is not PEM");
        let halted = Instance { state: State::Halted, ..running("acme") };
        let (soon, late) = (told(&acme, at("2027-01-05")), told(&halted, at("2028-02-03")));
        insta::assert_snapshot!(format!("{soon}\n---\n{late}"));
    }

    #[test]
    fn the_text_shows_the_first_certificate_that_expires_and_the_json_shows_all() {
        let told = first_end(&some()).expect("something ends");
        assert_eq!(told, "the first of 8 ends on 2027-02-03: kubeconfig");
        assert_eq!(first_end(&[]), None);
        insta::assert_json_snapshot!(views(&some()[5..7], at("2027-01-05")));
    }
}
