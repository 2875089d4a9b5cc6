//! Leaks that are drawn from a seed: [`draw`] makes them, [`Opening`] applies, proves and reverts one.
//!
//! This module knows nothing of how a leak is found. It imports the other injections' tools and the plan of the
//! clusters, and nothing else of the audit: a test reads its sources and fails on another import. A leak is proved open
//! by ordinary programs of the nodes and the host (socat, sha256sum, kubectl, wget, stat), never by a prober or a witness
//! of the audit.

mod leak;
mod draw;
mod spot;
mod proof;
mod wire;
mod relay;
mod files;
mod object;
mod trust;
mod process;
#[cfg(test)]
mod tests;

use super::changes::Changes;
use super::{InjectError, Pair};
use crate::undo::Left;

pub(in crate::audit) use draw::draw;
pub(in crate::audit) use leak::DrawnLeak;

use leak::{Leak, NearEnd};

/// A drawn leak that is applied. `Drop` reverts it.
#[derive(Debug)]
pub(in crate::audit) struct Opening(Changes);

impl Opening {
    /// Applies a leak. `pair` has the direction of the leak.
    ///
    /// # Errors
    /// [`InjectError`]; the changes made until then are reverted.
    pub(in crate::audit) async fn apply(leak: &DrawnLeak, pair: &Pair<'_>) -> Result<Self, InjectError> {
        let mut changes = Changes::on(pair);
        match perform(&leak.leak, pair, &mut changes).await {
            Ok(()) => Ok(Self(changes)),
            Err(error) => {
                drop(changes.undo().await); // report the first error, not those of the undo
                Err(error)
            }
        }
    }

    /// Reverts the leak.
    ///
    /// # Errors
    /// [`Left`] with the changes that could not be undone.
    pub(in crate::audit) async fn revert(self) -> Result<(), Left> {
        self.0.undo().await
    }
}

async fn perform(leak: &Leak, pair: &Pair<'_>, changes: &mut Changes) -> Result<(), InjectError> {
    match leak {
        Leak::Forward { traffic, near, to } => wire::forward(pair, changes, (*traffic, *near, *to)).await,
        Leak::ForwardProtocol { number, to } => wire::forward_protocol(pair, changes, *number, *to).await,
        Leak::EtherTypeCable { number, unicast } => wire::ether_type(pair, changes, *number, *unicast).await,
        Leak::PortCable { traffic } => wire::port_cable(pair, changes, *traffic).await,
        Leak::Router { name, traffic, place } => wire::router(pair, changes, (name, *traffic, *place)).await,
        Leak::Interface { at, name, place } => wire::interface(pair, changes, (*at, name, *place)).await,
        Leak::Macvlan { node, name, place } => wire::macvlan(pair, changes, (*node, name, *place)).await,
        Leak::Mirror { traffic } => wire::mirror(pair, changes, *traffic).await,
        Leak::Relay { name, near, far, to } => relay::between(pair, changes, (name, near, *far, *to)).await,
        Leak::Listener { name, near, far } => relay::listener(pair, changes, (name, *near, *far)).await,
        Leak::File { secret, form, at } => files::file(pair, changes, (*secret, *form, at)).await,
        Leak::Mount { what, in_pod, at } => files::mount(pair, changes, (*what, *in_pod, at)).await,
        Leak::Device { at, name } => files::device(pair, changes, at, name).await,
        Leak::Object { kind, encoded, name } => object::put(pair, changes, (*kind, *encoded, name)).await,
        Leak::Trust { ours, theirs } => trust::trust(pair, changes, *ours, *theirs).await,
        Leak::Process { name, namespace, in_cgroup } => {
            process::planted(pair, changes, (name, *namespace, *in_cgroup)).await
        }
        Leak::Pipe { name, from, to } => process::pipe(pair, changes, (name, *from, *to)).await,
    }
}

/// Tries the leak by ordinary programs. Returns the evidence, as the end of the sentence "it is open: …", or `None` when
/// nothing got through. What the attempt needs on nodes, such as a route, is removed afterwards.
///
/// # Errors
/// [`InjectError`] when the attempt could not be made.
pub(in crate::audit) async fn prove(
    leak: &DrawnLeak,
    pair: &Pair<'_>,
) -> Result<Option<String>, InjectError> {
    match &leak.leak {
        Leak::Forward { traffic, near, to } => wire::forwarded(pair, (*traffic, *near, *to)).await,
        Leak::ForwardProtocol { number, to } => wire::protocol_forwarded(pair, *number, *to).await,
        Leak::EtherTypeCable { number, unicast } => wire::frame_passes(pair, *number, *unicast).await,
        Leak::PortCable { traffic } => wire::port_passes(pair, *traffic).await,
        Leak::Router { traffic, place, .. } => wire::routed(pair, *traffic, *place).await,
        Leak::Interface { at, .. } => wire::interface_reaches(pair, *at).await,
        Leak::Macvlan { node, .. } => {
            wire::interface_reaches(pair, spot::Spot { node: *node, pod: None }).await
        }
        Leak::Mirror { traffic } => wire::mirrored(pair, *traffic).await,
        Leak::Relay { name, near: NearEnd::Path, far, to } => {
            relay::path_answers(pair, name, *far, *to).await
        }
        Leak::Relay { near: NearEnd::Port { at, port }, far, to, .. } => {
            relay::port_answers(pair, (*at, *port), (*far, *to)).await
        }
        Leak::Listener { near, far, .. } => relay::gateway_answers(pair, *near, *far).await,
        Leak::File { secret, form, at } => files::file_is_there(pair, (*secret, *form, at)).await,
        Leak::Mount { what, in_pod, at } => files::mount_is_there(pair, (*what, *in_pod, at)).await,
        Leak::Device { at, name } => files::device_reads(pair, at, name).await,
        Leak::Object { kind, encoded, name } => object::works(pair, (*kind, *encoded, name)).await,
        Leak::Trust { ours, theirs } => trust::accepts(pair, *ours, *theirs).await,
        Leak::Process { name, namespace, .. } => process::runs(pair, name, namespace).await,
        Leak::Pipe { name, from, to } => process::flows(pair, (name, *from, *to)).await,
    }
}
