//! The name constraint: it limits an authority to one suffix even when its key is stolen.

use rcgen::{CidrSubnet, GeneralSubtree, NameConstraints};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, GeneralSubtree as Subtree};

/// Permits the suffix and names below it, and no name of another type (RFC 5280, section 4.2.1.10).
///
/// A type of name that is not mentioned is not constrained. So all IP addresses are excluded, and mail addresses are
/// limited to the suffix itself, because an empty set of mail addresses cannot be encoded. rcgen always marks the
/// constraint as critical, as the section requires.
pub(super) fn permitting(suffix: &str) -> NameConstraints {
    NameConstraints {
        permitted_subtrees: vec![
            GeneralSubtree::DnsName(suffix.to_owned()),
            GeneralSubtree::Rfc822Name(suffix.to_owned()),
        ],
        excluded_subtrees: vec![
            GeneralSubtree::IpAddress(CidrSubnet::V4([0; 4], [0; 4])),
            GeneralSubtree::IpAddress(CidrSubnet::V6([0; 16], [0; 16])),
        ],
    }
}

/// The problem with an authority's constraint; `None` when it is the one that [`permitting`] makes.
pub(super) fn objection(certificate: &X509Certificate<'_>, suffix: &str) -> Option<String> {
    let Ok(Some(found)) = certificate.name_constraints() else {
        return Some("it has no name constraint".to_owned());
    };
    if !found.critical {
        return Some("its name constraint is not critical".to_owned());
    }
    let permitted = told(found.value.permitted_subtrees.as_deref());
    let excluded = told(found.value.excluded_subtrees.as_deref());
    let expected = [format!("DNS {suffix}"), format!("mail {suffix}")];
    if permitted != expected {
        return Some(format!(
            "its name constraint permits {}, not {}",
            permitted.join(", "),
            expected.join(", ")
        ));
    }
    let all = ["IP [0; 8]", "IP [0; 32]"];
    (excluded != all)
        .then(|| format!("its name constraint excludes {}, not {}", excluded.join(", "), all.join(", ")))
}

fn told(subtrees: Option<&[Subtree<'_>]>) -> Vec<String> {
    let subtrees = subtrees.unwrap_or_default().iter();
    subtrees
        .map(|subtree| match &subtree.base {
            GeneralName::DNSName(name) => format!("DNS {name}"),
            GeneralName::RFC822Name(name) => format!("mail {name}"),
            GeneralName::IPAddress(bytes) if bytes.iter().all(|byte| *byte == 0) => {
                format!("IP [0; {}]", bytes.len())
            }
            other => format!("{other}"),
        })
        .collect()
}
