//! Classes T: the state after a run. Classes S: the structure, which is checked before a packet is sent.

use crate::audit::viewpoint::Stand;

use super::{Class, ClassId, Fact, Injection, Method, Part, Towards};

/// Why no audit asks a class that needs the destruction of an instance.
const DESTROYS: &str = "this destroys an instance; `sudo homelab audit --self-test` tests it";

const fn class(
    id: ClassId,
    title: &'static str,
    means: &'static str,
    (towards, fact): (Towards, Fact),
    injection: Injection,
) -> Class {
    let (from, way) = (&[Stand::Host] as &[Stand], Method::Fact(fact));
    let needs = &[Part::Host];
    Class::new(id, (title, means), (from, towards), way, needs, injection)
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
    )
    .on_request(DESTROYS),
    class(
        ClassId::T3,
        "destroying one instance leaves the others untouched",
        "destroying the source also changes the target, for example because their names begin alike",
        (Towards::Instances, Fact::Destroyed),
        Injection::RestartOther,
    )
    .on_request(DESTROYS),
    class(
        ClassId::S1,
        "overlapping networks",
        "two networks have addresses in common: a route leads to only one of them",
        (Towards::Instances, Fact::Networks),
        Injection::SameNetwork,
    )
    .needing(&[Part::Record]),
    class(
        ClassId::S2,
        "shared authorities and keys",
        "the target accepts signatures of the source's authorities or keys",
        (Towards::Instances, Fact::Authorities),
        Injection::ForeignAuthority,
    )
    .needing(&[Part::Credentials, Part::Files]),
    class(
        ClassId::S3,
        "registry and engine disagree",
        "the registry and the engine list different objects, so the audit may have missed some",
        (Towards::Host, Fact::Registry),
        Injection::Stray,
    ),
];
