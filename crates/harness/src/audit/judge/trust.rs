//! Judges what the servers of an instance trust. Pure.

use provisioner::plan::Role;

use crate::audit::subject::{AuthorityRole, KnownAuthority, Subject, TrustAnchor};
use crate::audit::verdict::Judgement;

/// The control: the settings in which each control plane must be seen to trust an authority of its own.
const CONTROL_PLANE: [(&str, &str, AuthorityRole); 7] = [
    ("kube-apiserver", "client-ca-file", AuthorityRole::Cluster),
    ("kube-apiserver", "requestheader-client-ca-file", AuthorityRole::FrontProxy),
    ("kube-apiserver", "service-account-key-file", AuthorityRole::ServiceAccounts),
    ("kube-apiserver", "etcd-cafile", AuthorityRole::Etcd),
    ("kube-controller-manager", "root-ca-file", AuthorityRole::Cluster),
    ("etcd", "trusted-ca-file", AuthorityRole::Etcd),
    ("etcd", "peer-trusted-ca-file", AuthorityRole::Etcd),
];
/// The same for each node.
const NODE: [(&str, &str, AuthorityRole); 1] = [("kubelet", "clientCAFile", AuthorityRole::Cluster)];

/// No server of the target may trust a key of the source, or a key of a third system that a server of the source trusts
/// too. Every other key that is not the target's own is unexplained.
pub(super) fn judge(source: &Subject, target: &Subject) -> Judgement {
    let (Some(ours), Some(theirs)) = (&source.authorities, &target.authorities) else {
        return Judgement::inconclusive("the authorities of an instance could not be read");
    };
    let trusted = &target.trust.anchors;
    for anchor in trusted {
        if let Some(own) = ours.iter().find(|own| own.key == anchor.key) {
            let what = own.role.name();
            return Judgement::leak(format!("{} is the {what} of '{}'", place(anchor), source.name));
        }
    }
    let of_another = |anchor: &&TrustAnchor| theirs.iter().all(|own| own.key != anchor.key);
    for anchor in trusted.iter().filter(of_another) {
        if let Some(same) = source.trust.anchors.iter().find(|same| same.key == anchor.key) {
            return Judgement::leak(format!("{} is also {}", place(anchor), place(same)));
        }
    }
    let missing = missing(target, theirs).map(|what| format!("the control failed: {what}"));
    let unknown = trusted.iter().find(of_another);
    let unknown = unknown.map(|anchor| format!("{} is none of '{}'", place(anchor), target.name));
    let open = target.trust.unread.first().or(target.trust.unplanned.first()).cloned();
    match open.or(unknown).or(missing) {
        Some(why) => Judgement::inconclusive(why),
        None => Judgement::isolated(format!(
            "the servers of '{}' trust {} keys in {} settings, all of its own",
            target.name,
            theirs.iter().filter(|own| trusted.iter().any(|anchor| anchor.key == own.key)).count(),
            trusted.len()
        )),
    }
}

/// The first setting in which a node was not seen to trust its own authority, as a sentence.
fn missing(of: &Subject, own: &[KnownAuthority]) -> Option<String> {
    for node in &of.nodes {
        let control_plane = if node.role == Role::ControlPlane { CONTROL_PLANE.as_slice() } else { &[] };
        for (server, setting, role) in control_plane.iter().chain(&NODE) {
            let key = own.iter().find(|own| own.role == *role).map(|own| &own.key);
            let is_it = |anchor: &TrustAnchor| {
                (anchor.node == node.name && anchor.server == *server && anchor.setting == *setting)
                    && Some(&anchor.key) == key
            };
            if !of.trust.anchors.iter().any(is_it) {
                return Some(format!(
                    "no {setting} of {server} on {} has its own {}",
                    node.name,
                    role.name()
                ));
            }
        }
    }
    None
}

fn place(anchor: &TrustAnchor) -> String {
    let TrustAnchor { node, server, setting, file, block, .. } = anchor;
    format!("block {block} of {file} ({setting} of {server} on {node})")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::sample;
    use crate::audit::verdict::Verdict;

    fn judged(bend: impl Fn(&mut Subject, &mut Subject)) -> Judgement {
        let (mut acme, mut globex) = (sample::subject("acme", 60, 1), sample::subject("globex", 61, 1));
        bend(&mut acme, &mut globex);
        judge(&acme, &globex)
    }

    fn extra(of: &mut Subject, key: &str) {
        let first = of.trust.anchors[1].clone();
        of.trust.anchors.push(TrustAnchor { block: 2, key: key.to_owned(), ..first });
    }

    #[test]
    fn a_key_of_the_source_in_any_block_of_any_file_of_the_target_is_a_leak() {
        assert_eq!(judged(|_, _| ()).verdict, Verdict::Isolated);
        let leak = judged(|acme, globex| {
            extra(globex, &acme.authorities.as_ref().expect("authorities")[2].key);
            globex.trust.unread.push("another file could not be read".to_owned());
        });
        assert_eq!(leak.verdict, Verdict::Leak);
        assert_eq!(
            leak.why,
            "block 2 of /pki/requestheader-client-ca-file (requestheader-client-ca-file of kube-apiserver on \
             globex-cp-1) is the front-proxy CA of 'acme'"
        );
        let shared = judged(|acme, globex| [acme, globex].into_iter().for_each(|of| extra(of, "another")));
        assert_eq!(shared.verdict, Verdict::Leak);
        assert_eq!(
            judged(|acme, _| extra(acme, "key globex etcd CA")).verdict,
            Verdict::Isolated,
            "the reverse"
        );
    }

    #[test]
    fn what_is_unexplained_or_was_not_read_is_inconclusive() {
        let say = |list: &mut Vec<String>| list.push("something".to_owned());
        assert_eq!(judged(|_, globex| extra(globex, "another")).verdict, Verdict::Inconclusive);
        assert_eq!(judged(|_, globex| say(&mut globex.trust.unread)).verdict, Verdict::Inconclusive);
        assert_eq!(judged(|_, globex| say(&mut globex.trust.unplanned)).verdict, Verdict::Inconclusive);
        assert_eq!(judged(|acme, _| acme.authorities = None).verdict, Verdict::Inconclusive);
        let all = sample::subject("globex", 61, 1).trust.anchors.len();
        assert_eq!(all, CONTROL_PLANE.len() + 2, "those of the control plane, and a kubelet on each node");
        for place in 0..all {
            let without = judged(|_, globex| drop(globex.trust.anchors.remove(place)));
            assert_eq!(without.verdict, Verdict::Inconclusive, "{place}");
            let other = judged(|_, globex| {
                let node = &mut globex.trust.anchors[place].node;
                *node = format!("{node}-other");
            });
            assert_eq!(other.verdict, Verdict::Inconclusive, "{place}");
        }
    }
}
