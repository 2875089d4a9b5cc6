//! The ids of classes: a letter for the group, and a number within it. The meaning of an id never changes.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The id of a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[expect(missing_docs, reason = "each is documented by its class")]
pub enum ClassId {
    L1,
    L2,
    L3,
    L4,
    L5,
    L6,
    L7,
    L8,
    L9,
    N1,
    N2,
    N3,
    N4,
    N5,
    N6,
    N7,
    N8,
    N9,
    N10,
    N11,
    N12,
    N13,
    N14,
    N15,
    N16,
    H1,
    H2,
    H3,
    H4,
    H5,
    H6,
    H7,
    H8,
    H9,
    H10,
    H11,
    H12,
    H13,
    C1,
    C2,
    C3,
    C4,
    C5,
    C6,
    C7,
    C8,
    C9,
    C10,
    T1,
    T2,
    T3,
    S1,
    S2,
    S3,
    S4,
    S5,
    S6,
    S7,
    S8,
    S9,
    S10,
    S11,
    S12,
    S13,
    S14,
    S15,
}

/// The text is not the id of a class.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no class '{0}'")]
pub struct UnknownClass(pub String);

impl ClassId {
    /// The name of its group: `Link`, `Network`, `Host as a bridge`, `Control plane and credentials`, `After the run`
    /// or `Structure`.
    pub fn group(self) -> &'static str {
        match self.to_string().as_bytes()[0] {
            b'L' => "Link",
            b'N' => "Network",
            b'H' => "Host as a bridge",
            b'C' => "Control plane and credentials",
            b'T' => "After the run",
            _ => "Structure",
        }
    }
}

impl fmt::Display for ClassId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{self:?}"))
    }
}

impl FromStr for ClassId {
    type Err = UnknownClass;

    fn from_str(text: &str) -> Result<Self, UnknownClass> {
        let mut all = super::Class::all().map(|class| class.id);
        all.find(|id| id.to_string().eq_ignore_ascii_case(text)).ok_or_else(|| UnknownClass(text.to_owned()))
    }
}
