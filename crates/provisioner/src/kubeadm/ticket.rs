//! What a node needs to join: a bootstrap token, drawn for the nodes that join now.

use std::time::Duration;

use crate::pki::Secret;

use super::KubeadmError;

/// A bootstrap token: short-lived, for one cluster, deleted after the last join.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    token: Secret,
}

impl Ticket {
    /// How long it is good at most: a slow host needs minutes for the joins of a large cluster. A ticket whose cluster
    /// nobody could ask to delete it is worth nothing afterwards.
    pub const LIFETIME: Duration = Duration::from_mins(15);

    /// Draws a fresh one.
    ///
    /// # Errors
    /// [`KubeadmError::Ticket`] when the kernel gives no randomness.
    pub fn draw() -> Result<Self, KubeadmError> {
        // 32 letters, so that each byte gives one without bias.
        const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
        let mut bytes = [0_u8; 22];
        rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
            .map_err(KubeadmError::Ticket)?;
        let text: String = bytes.iter().map(|byte| char::from(LETTERS[usize::from(byte % 32)])).collect();
        Ok(Self { token: Secret::new(format!("{}.{}", &text[..6], &text[6..])) })
    }

    /// A ticket with a known token, for snapshots.
    pub fn known(token: &str) -> Self {
        Self { token: Secret::new(token) }
    }

    /// `<id>.<secret>`, the form of bootstrap tokens (`[a-z0-9]{6}.[a-z0-9]{16}`).
    pub fn token(&self) -> &Secret {
        &self.token
    }

    /// The name of its Secret in the cluster.
    pub fn secret(&self) -> String {
        format!("bootstrap-token-{}", self.id())
    }

    /// The public half.
    pub fn id(&self) -> &str {
        &self.token.reveal()[..6]
    }
}
