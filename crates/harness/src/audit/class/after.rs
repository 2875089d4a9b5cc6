//! T: what is left after a run, and S: what must hold before a single packet is sent.

use crate::audit::viewpoint::Stand;

use super::{Class, ClassId, Coverages, Fact, Injection, Towards, Way};

const fn class(
    id: ClassId,
    title: &'static str,
    means: &'static str,
    (towards, fact): (Towards, Fact),
    injection: Injection,
) -> Class {
    let (from, way) = (&[Stand::Workstation] as &[Stand], Way::Fact(fact));
    let coverage = Coverages::EVERYWHERE;
    Class { id, title, means, from, towards, way, coverage, injection: Some(injection) }
}

pub(super) const CLASSES: &[Class] = &[
    class(
        ClassId::T1,
        "inventory before and after",
        "something of one is left on the workstation, for the other to find",
        (Towards::Workstation, Fact::Left),
        Injection::LeftLink,
    ),
    class(
        ClassId::T2,
        "state that crosses runs",
        "a new instance finds the data of an old one of the same name or address",
        (Towards::Instances, Fact::Inherited),
        Injection::OldData,
    ),
    class(
        ClassId::T3,
        "destroying one leaves the other untouched",
        "who takes down one takes down the other, because their names begin alike",
        (Towards::Instances, Fact::Destroyed),
        Injection::RestartOther,
    ),
    class(
        ClassId::S1,
        "networks overlap",
        "an address of one is an address of the other: routes lead to whoever comes first",
        (Towards::Instances, Fact::Networks),
        Injection::SameNetwork,
    ),
    class(
        ClassId::S2,
        "authorities and keys are distinct",
        "what one signs, the other believes",
        (Towards::Instances, Fact::Authorities),
        Injection::SameAuthority,
    ),
    class(
        ClassId::S3,
        "the registry equals what is there",
        "nobody knows what runs, so nobody knows what was asked",
        (Towards::Workstation, Fact::Registry),
        Injection::Stray,
    ),
];
