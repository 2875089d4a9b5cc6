//! Whether the namespace of an earlier audit may be removed. Several hosts may audit one cluster at the same time, and no
//! host may remove the namespace of another host's audit while that audit runs. Pure, except for [`Owned::read`].

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Namespace;
use provisioner::registry::{Liveness, Owner};

use super::manifest;

/// From this age on, every host may remove a namespace. Its pods have ended by then: they live for an hour at the
/// longest. The second hour is for pods that started late and for clocks of hosts that differ.
const ABANDONED: SignedDuration = SignedDuration::from_hours(2);

/// The namespace of an audit and what its annotation says about the process of that audit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Owned {
    /// The name of the namespace.
    pub name: String,
    /// The time at which the API server made it. This is the API server's clock, not that of the host of the audit.
    made: Timestamp,
    /// The process that runs the audit, on whichever host.
    owner: Owner,
}

impl Owned {
    /// Reads the metadata of a namespace. `None` if its owner cannot be read: then no audit removes it.
    pub(super) fn read(namespace: Namespace) -> Option<Self> {
        let metadata = namespace.metadata;
        let owner = serde_json::from_str(&metadata.annotations?.remove(manifest::OWNER)?).ok()?;
        Some(Self { name: metadata.name?, made: metadata.creation_timestamp?.0, owner })
    }

    /// Whether the process `this` may remove the namespace now.
    pub(super) fn is_abandoned(&self, this: &Owner, now: Timestamp) -> bool {
        // The pid of a process of another host may be that of any process here, or of none.
        let here = (self.owner.boot_id == this.boot_id).then(|| self.owner.liveness_by_proc());
        is_abandoned(here, now.duration_since(self.made))
    }
}

/// Whether a namespace of this age may be removed. `here` is the liveness of its owner by this host's `/proc`, and `None`
/// for a process of another boot: of another host, or of this host before it was restarted. The two cannot be told
/// apart, because copies of a VM often have the same machine id.
fn is_abandoned(here: Option<Liveness>, age: SignedDuration) -> bool {
    match here {
        Some(Liveness::Alive) => false,
        Some(Liveness::Dead) => true,
        Some(Liveness::Unknown(_)) | None => age > ABANDONED,
    }
}

#[cfg(test)]
mod tests {
    use provisioner::registry::UnknownLiveness;

    use super::*;

    #[test]
    fn a_namespace_is_removed_if_its_process_ended_on_this_host_or_long_after_its_pods_ended() {
        let (young, old) = (SignedDuration::from_mins(61), SignedDuration::from_mins(121));
        let unknown = Some(Liveness::Unknown(UnknownLiveness::Namespace));
        let table = [
            ("it runs here", Some(Liveness::Alive), young, false),
            ("it runs here, late", Some(Liveness::Alive), old, false),
            ("it ended here", Some(Liveness::Dead), SignedDuration::ZERO, true),
            ("it is in another container of this host", unknown, young, false),
            ("it was in another container of this host", unknown, old, true),
            ("it is on another host", None, young, false),
            ("it was on another host", None, old, true),
            ("it is on a host whose clock is ahead", None, SignedDuration::from_mins(-5), false),
        ];
        assert_eq!(ABANDONED.as_secs(), 2 * i64::from(manifest::LIFETIME));
        for (case, here, age, expected) in table {
            assert_eq!(is_abandoned(here, age), expected, "{case}");
        }
    }

    #[test]
    fn the_process_of_another_host_is_not_looked_up_on_this_host() {
        let this = Owner::current("run").expect("this process has an entry in /proc");
        let ended = Owner { start_time: this.start_time + 1, ..this.clone() };
        let other = Owner { boot_id: "another host".to_owned(), ..ended.clone() };
        let now = Timestamp::now();
        let abandoned = |owner| Owned { name: "audit".to_owned(), made: now, owner }.is_abandoned(&this, now);
        assert!(!abandoned(this.clone()));
        assert!(abandoned(ended));
        assert!(!abandoned(other));
    }

    #[test]
    fn a_namespace_without_a_readable_owner_is_left_alone() {
        assert_eq!(Owned::read(Namespace::default()), None);
    }
}
