//! Reads the section `audit`: what the operator accepts in every audit. Pure.

use std::collections::BTreeMap;

use serde_json::Value;

use super::fields::Fields;

/// The section `audit`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Audit {
    /// The ids of classes that are accepted as not covered, `C9`, each with the reason. The ids are not checked here.
    pub accept: BTreeMap<String, String>,
}

/// Reads the section.
pub(super) fn read(mut fields: Fields<'_>) -> Audit {
    let accept = fields.take("accept", reasons).unwrap_or_default();
    fields.end();
    Audit { accept }
}

fn reasons(value: &Value) -> Result<BTreeMap<String, String>, String> {
    let reasons = value.as_object().and_then(|classes| {
        let reason =
            |value: &Value| Some(value.as_str()?.trim().to_owned()).filter(|reason| !reason.is_empty());
        classes.iter().map(|(class, value)| Some((class.clone(), reason(value)?))).collect()
    });
    reasons.ok_or_else(|| "is not a mapping of classes to reasons such as {C9: tried by hand}".to_owned())
}
