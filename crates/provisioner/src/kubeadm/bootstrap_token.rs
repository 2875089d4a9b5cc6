//! The bootstrap token with which nodes join: a random one for each group of nodes that joins.

use std::time::Duration;

use crate::pki::Secret;

use super::KubeadmError;

/// A bootstrap token: short-lived, for one cluster, deleted after the last join.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootstrapToken {
    token: Secret,
}

impl BootstrapToken {
    /// The token's lifetime in the cluster: a slow host needs minutes for the joins of a large cluster. A token that
    /// could not be deleted expires after it.
    pub const LIFETIME: Duration = Duration::from_mins(15);

    /// Generates a random token.
    ///
    /// # Errors
    /// [`KubeadmError::BootstrapToken`] when the kernel gives no randomness.
    pub fn draw() -> Result<Self, KubeadmError> {
        // 32 letters: 256 is a multiple of it, so each byte gives a letter without bias.
        const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
        let mut bytes = [0_u8; 22];
        rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
            .map_err(KubeadmError::BootstrapToken)?;
        let text: String = bytes.iter().map(|byte| char::from(LETTERS[usize::from(byte % 32)])).collect();
        Ok(Self { token: Secret::new(format!("{}.{}", &text[..6], &text[6..])) })
    }

    /// A fixed token, for snapshots.
    pub fn known(token: &str) -> Self {
        Self { token: Secret::new(token) }
    }

    /// The whole token, `<id>.<secret>`: `[a-z0-9]{6}.[a-z0-9]{16}`.
    pub fn token(&self) -> &Secret {
        &self.token
    }

    /// The name of the token's Secret in namespace `kube-system`.
    pub fn secret(&self) -> String {
        format!("bootstrap-token-{}", self.id())
    }

    /// The public part of the token, six characters.
    pub fn id(&self) -> &str {
        &self.token.reveal()[..6]
    }
}
