//! Classes T: the state after a run. Classes S: the structure, which is checked before a packet is sent.

use crate::audit::viewpoint::Stand;

use super::{Class, ClassId, Coverages, Fact, Injection, Method, Towards};

const fn class(
    id: ClassId,
    title: &'static str,
    means: &'static str,
    (towards, fact): (Towards, Fact),
    injection: Injection,
) -> Class {
    let (from, way) = (&[Stand::Host] as &[Stand], Method::Fact(fact));
    let coverage = Coverages::EVERYWHERE;
    Class { id, title, means, from, towards, way, coverage, injection: Some(injection) }
}

pub(super) const CLASSES: &[Class] = &[
    class(
        ClassId::T1,
        "host inventory before and after",
        "objects of a run stay on the host, where another instance can find them",
        (Towards::Host, Fact::Left),
        Injection::LeftLink,
    ),
    class(
        ClassId::T2,
        "data of an earlier instance",
        "a new instance finds data of an earlier instance with the same name or address",
        (Towards::Instances, Fact::Inherited),
        Injection::OldData,
    ),
    class(
        ClassId::T3,
        "destroying one instance leaves the others untouched",
        "destroying the source also changes the target, for example because their names begin alike",
        (Towards::Instances, Fact::Destroyed),
        Injection::RestartOther,
    ),
    class(
        ClassId::S1,
        "overlapping networks",
        "two networks have addresses in common: a route leads to only one of them",
        (Towards::Instances, Fact::Networks),
        Injection::SameNetwork,
    ),
    class(
        ClassId::S2,
        "shared authorities and keys",
        "the target accepts signatures of the source's authorities or keys",
        (Towards::Instances, Fact::Authorities),
        Injection::SameAuthority,
    ),
    class(
        ClassId::S3,
        "registry and engine disagree",
        "the registry and the engine list different objects, so the audit may have missed some",
        (Towards::Host, Fact::Registry),
        Injection::Stray,
    ),
];
