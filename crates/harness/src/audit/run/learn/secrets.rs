//! The search patterns for the secrets of instances: each secret as it is, and within base64 of a longer text.

use aho_corasick::AhoCorasick;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use crate::audit::Secret;

/// The shortest part of a secret, in characters, that does not occur by accident.
const DISTINCT: usize = 12;

/// The patterns of the secrets of several owners, for one pass over a file.
pub(super) struct Needles {
    automaton: AhoCorasick,
    owners: Vec<usize>,
}

impl std::fmt::Debug for Needles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Needles({})", self.owners.len())
    }
}

impl Needles {
    /// The patterns for each owner's secrets. `None` when there are too many of them for the automaton. Pure.
    pub(super) fn of(secrets: &[Vec<Secret>]) -> Option<Self> {
        let (mut needles, mut owners) = (Vec::new(), Vec::new());
        for (owner, secrets) in secrets.iter().enumerate() {
            for needle in secrets.iter().flat_map(|secret| parts(secret.reveal())).flat_map(forms) {
                needles.push(needle);
                owners.push(owner);
            }
        }
        Some(Self { automaton: AhoCorasick::new(needles).ok()?, owners })
    }

    /// The indices of the owners whose secrets occur in the input, each once. Reads in pieces, so that a long log takes
    /// no memory.
    pub(super) fn found_in(&self, read: impl std::io::Read) -> std::io::Result<Vec<usize>> {
        let mut found = Vec::new();
        for hit in self.automaton.stream_find_iter(read) {
            let owner = self.owners[hit?.pattern().as_usize()];
            if !found.contains(&owner) {
                found.push(owner);
            }
        }
        Ok(found)
    }
}

/// The parts of a secret that identify it. Pure.
///
/// - Of a key in PEM, the first and the middle line: one of them has the private part for RSA (RFC 8017, A.1.2) and for
///   elliptic curves (RFC 5915), and neither of them is public alone.
/// - Of a key of OpenSSH, the last two lines: the beginning is the same in all of them (its sources, `PROTOCOL.key`).
/// - Of a token, the part after the last dot: the signature, or the secret half.
fn parts(secret: &str) -> Vec<&str> {
    let found = if secret.contains("-----BEGIN ") {
        let body: Vec<&str> = secret.lines().filter(|line| !line.starts_with("-----")).collect();
        match secret.contains("-----BEGIN OPENSSH ") {
            true => body.rchunks(2).next().unwrap_or_default().to_vec(),
            false => [body.first(), body.get(body.len() / 2)].into_iter().flatten().copied().collect(),
        }
    } else {
        vec![secret.rsplit('.').next().unwrap_or(secret)]
    };
    found.into_iter().map(str::trim).filter(|part| part.len() >= DISTINCT).collect()
}

/// A text as it is, and as it appears within base64 of a longer text: one form for each of the three positions in a
/// group of three bytes (RFC 4648, section 4), without the characters that depend on the surrounding text. Pure.
fn forms(text: &str) -> Vec<String> {
    let within = (0..3_usize).map(|before| {
        let encoded = STANDARD_NO_PAD.encode([&vec![0; before], text.as_bytes()].concat());
        let (first, last) = ((before * 8).div_ceil(6), (before + text.len()) * 8 / 6);
        encoded[first..last].to_owned()
    });
    [text.to_owned()].into_iter().chain(within).collect()
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD;
    use provisioner::pki::Bundle;

    use super::*;

    #[test]
    fn a_secret_is_found_as_it_is_and_in_base64_at_any_place() {
        let (acme, globex) = (Bundle::make("acme").unwrap(), Bundle::make("globex").unwrap());
        let token = "abcdef.0123456789abcdef";
        let secrets = [vec![acme.cluster.key.clone()], vec![globex.cluster.key.clone(), Secret::new(token)]];
        let needles = Needles::of(&secrets).unwrap();
        let found = |text: &str| needles.found_in(text.as_bytes()).unwrap();
        let (mine, other) = (acme.cluster.key.reveal(), globex.cluster.key.reveal());
        assert_eq!(found(&format!("key: |\n{mine}")), [0]);
        for before in ["", "a", "ab", "-----BEGIN CERTIFICATE-----\n"] {
            let encoded = STANDARD.encode(format!("{before}{other}{before}"));
            assert_eq!(found(&format!("client-key-data: {encoded}\n")), [1], "{before}");
        }
        assert_eq!(found(&format!("{mine}{other}")), [0, 1]);
        assert_eq!(found("kubeadm join --token abcdef.0123456789abcdef"), [1]);
        assert_eq!(found(&format!("token-secret: {}", STANDARD.encode("0123456789abcdef"))), [1]);
        for public in [&acme.cluster.certificate, &globex.service_account_public, "token-id: abcdef"] {
            assert_eq!(found(public), [] as [usize; 0], "{public}");
            assert_eq!(found(&STANDARD.encode(public)), [] as [usize; 0], "{public}");
        }
        assert_eq!(format!("{needles:?}"), "Needles(20)");
    }

    #[test]
    fn only_the_private_lines_of_an_openssh_key_are_searched() {
        let key = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjE\nof-everybody-and-public\nprivate-one-line\n\
                   private-another-line\n-----END OPENSSH PRIVATE KEY-----\n";
        assert_eq!(parts(key), ["private-one-line", "private-another-line"]);
    }

    #[test]
    fn texts_too_short_to_be_unique_are_not_searched() {
        assert_eq!(parts("-----BEGIN X-----\nshort\n-----END X-----\n"), [] as [&str; 0]);
        assert_eq!(parts("a.b"), [] as [&str; 0]);
        assert_eq!(parts("eyJh.eyJz.c2lnbmF0dXJlLW9mLWl0"), ["c2lnbmF0dXJlLW9mLWl0"]);
    }
}
