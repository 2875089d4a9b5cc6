//! The registry as JSON for programs: new versions only add fields. The schemas are in `docs/schemas`.

use jiff::Timestamp;
use provisioner::registry::{Entry, Instance, Keeper, Liveness, ObservedState, Owner, State};
use serde::Serialize;

/// `homelab instance list --format json`
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct ListView {
    /// The version of this format.
    version: u32,
    /// All entries of the registry, in the order in which they were claimed.
    instances: Vec<EntryView>,
}

/// An entry of the registry.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(untagged)]
enum EntryView {
    /// An instance.
    Sound(Box<InstanceView>),
    /// An entry that cannot be read.
    Broken(BrokenView),
}

/// An entry that cannot be read.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct BrokenView {
    /// Its name; null if that cannot be read either.
    name: Option<String>,
    /// Always `broken`.
    status: &'static str,
    /// What is wrong with it.
    error: String,
}

/// An instance for programs.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(crate) struct InstanceView {
    /// Its name.
    pub(crate) name: String,
    /// `k8s-single`, `k8s-multi`, `k8s-ha`.
    pub(crate) topology: String,
    /// The number of workers.
    pub(crate) workers: u8,
    /// The host network.
    pub(crate) subnet: String,
    /// `creating`, `running`, `paused`, `halted`, `failed`, `destroying`, `abandoned` or, since a reboot, `off`.
    pub(crate) status: String,
    /// Seconds since the claim; null unless it runs.
    pub(crate) uptime_seconds: Option<i64>,
    /// When it was claimed (RFC 3339).
    pub(crate) created_at: String,
    /// The first label of its DNS suffix.
    pub(crate) tld_prefix: String,
    /// The Kubernetes version.
    pub(crate) kubernetes: String,
    /// The CIDR of pod addresses.
    pub(crate) pod_cidr: String,
    /// The CIDR of service addresses.
    pub(crate) service_cidr: String,
    /// The context in the merged kubeconfig.
    pub(crate) context: String,
    /// The pod network.
    pub(crate) cni: String,
    /// The engine of its nodes: `container`, `vagrant-libvirt`, `vagrant-virtualbox`.
    pub(crate) engine: String,
    /// The id of the process that changes it, or of the test run that keeps it; null if neither is recorded.
    pub(crate) owner_pid: Option<u32>,
}

/// `homelab instance show NAME --format json`
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(super) struct ShowView {
    /// The version of this format.
    pub(super) version: u32,
    /// The instance as `homelab instance list` shows it.
    pub(super) instance: InstanceView,
    /// The recorded state, also of an abandoned instance: `creating`, `running`, `paused`, `halted`, `failed`,
    /// `destroying`.
    pub(super) state: String,
    /// The suffix of its DNS names on the host.
    pub(super) dns_suffix: String,
    /// The subject of its certificate authority.
    pub(super) ca_name: String,
    /// The Kubernetes distribution: `kubeadm`.
    pub(super) distribution: String,
    /// Whether etcd waits for the disk, so that its data survives a power cut.
    pub(super) fsync: bool,
    /// Whether its context is merged into the user's kubeconfig.
    pub(super) merged_context: bool,
    /// Whether its names are recorded on the host.
    pub(super) host_names: bool,
    /// Whether the audit's self-test may open leaks in it.
    pub(super) self_test: bool,
    /// The keeper, which decides when it ends: `operator`, or `run` for a test run.
    pub(super) keeper: &'static str,
    /// The process of the test run that keeps it; null for an operator's instance, which stays until `homelab down`.
    pub(super) owner: Option<OwnerView>,
    /// The operation in progress, or the one whose process was killed; null if neither is recorded.
    pub(super) operation: Option<OperationView>,
    /// The numbers of its workers: 3 is `<name>-w-3`.
    pub(super) worker_numbers: Vec<u8>,
    /// The numbers of workers that are being added or removed; without an operation, their change did not finish.
    pub(super) workers_in_transit: Vec<u8>,
    /// The size of each of its VMs; null for containers, which have no fixed size.
    pub(super) size: Option<SizeView>,
    /// The network by which the hypervisor manages its nodes; null if it needs none.
    pub(super) management: Option<String>,
}

/// The size of a VM.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(super) struct SizeView {
    /// The number of processors.
    pub(super) cpus: u8,
    /// The memory in MiB.
    #[serde(rename = "memoryMiB")]
    pub(super) memory_mib: u32,
}

/// A process. Its start time and its boot tell it from others with the same process id.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(super) struct OwnerView {
    /// Its process id.
    pub(super) pid: u32,
    /// Its start time in clock ticks since boot.
    start_time: u64,
    /// The id of the boot in which it started.
    boot_id: String,
    /// The id of its run.
    run_id: String,
    /// Whether it still runs; null if that cannot be found out.
    pub(super) alive: Option<bool>,
}

/// An operation on an instance.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(super) struct OperationView {
    /// `create`, `destroy`, `pause`, `resume`, `halt`, `start`, `add-workers`, `remove-worker`, `renew-certificates`.
    pub(super) kind: String,
    /// When it began (RFC 3339).
    pub(super) since: String,
    /// The process that runs it.
    pub(super) owner: OwnerView,
}

impl ListView {
    /// The view of all entries. `standing` tells the state of each instance.
    pub(super) fn of(
        entries: &[Entry],
        standing: impl Fn(&Instance) -> ObservedState,
        now: Timestamp,
    ) -> Self {
        let view = |entry: &Entry| match entry {
            Entry::Sound(instance) => {
                EntryView::Sound(Box::new(InstanceView::of(instance, standing(instance), now)))
            }
            Entry::Broken { name, error } => {
                EntryView::Broken(BrokenView { name: name.clone(), status: "broken", error: error.clone() })
            }
        };
        Self { version: 1, instances: entries.iter().map(view).collect() }
    }
}

impl InstanceView {
    pub(crate) fn of(instance: &Instance, standing: ObservedState, now: Timestamp) -> Self {
        Self {
            name: instance.name.clone(),
            topology: instance.topology.to_string(),
            workers: instance.workers.count(),
            subnet: instance.subnet.to_string(),
            status: status(instance, standing),
            uptime_seconds: uptime(instance, standing, now),
            created_at: instance.created_at.to_string(),
            tld_prefix: instance.tld_prefix.clone(),
            kubernetes: instance.k8s.version.clone(),
            pod_cidr: instance.k8s.pod_cidr.to_string(),
            service_cidr: instance.k8s.service_cidr.to_string(),
            context: instance.k8s.kubeconfig_context.clone(),
            cni: instance.k8s.cni.to_string(),
            engine: instance.engine.to_string(),
            owner_pid: instance.process().map(|owner| owner.pid),
        }
    }
}

impl ShowView {
    /// The view of one instance. `liveness` tells whether a process still runs.
    pub(super) fn of(
        instance: &Instance,
        standing: ObservedState,
        liveness: impl Fn(&Owner) -> Liveness,
        now: Timestamp,
    ) -> Self {
        let owner = |owner: &Owner| OwnerView {
            pid: owner.pid,
            start_time: owner.start_time,
            boot_id: owner.boot_id.clone(),
            run_id: owner.run_id.clone(),
            alive: match liveness(owner) {
                Liveness::Alive => Some(true),
                Liveness::Dead => Some(false),
                Liveness::Unknown(_) => None,
            },
        };
        let operation = instance.operation.as_ref().map(|operation| OperationView {
            kind: operation.kind.name().to_owned(),
            since: operation.since.to_string(),
            owner: owner(&operation.owner),
        });
        let handling = instance.handling;
        Self {
            version: 2,
            instance: InstanceView::of(instance, standing, now),
            state: instance.state.to_string(),
            dns_suffix: instance.dns_suffix(),
            ca_name: instance.k8s.ca_name.clone(),
            distribution: instance.k8s.distribution.to_string(),
            fsync: handling.fsync,
            merged_context: handling.kubeconfig,
            host_names: handling.host_names,
            self_test: handling.self_test,
            keeper: match instance.keeper {
                Keeper::Operator => "operator",
                Keeper::Run(_) => "run",
            },
            owner: instance.keeper.run().map(owner),
            operation,
            worker_numbers: instance.workers.numbers().collect(),
            workers_in_transit: instance.transit.numbers().collect(),
            size: instance.size.map(|size| SizeView { cpus: size.cpus, memory_mib: size.memory_mib }),
            management: instance.management.map(|network| network.to_string()),
        }
    }
}

/// The recorded state of an instance, or `abandoned` or `off`.
pub(super) fn status(instance: &Instance, standing: ObservedState) -> String {
    match standing {
        ObservedState::AsRecorded => instance.state.to_string(),
        ObservedState::Abandoned => "abandoned".to_owned(),
        ObservedState::Off => "off".to_owned(),
    }
}

/// Seconds since the claim of an instance; `None` unless it runs.
pub(crate) fn uptime(instance: &Instance, standing: ObservedState, now: Timestamp) -> Option<i64> {
    (instance.state == State::Running && standing != ObservedState::Off)
        .then(|| now.duration_since(instance.created_at).as_secs())
}
