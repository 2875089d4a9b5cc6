//! The search patterns for the secrets of instances: each secret as it is, as DER, and within base64 of a longer text.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};

use aho_corasick::AhoCorasick;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};

use k8s_openapi::ByteString;

use crate::audit::Secret;

/// The shortest part of a secret, in characters, that does not occur by accident.
const DISTINCT: usize = 12;

/// The most characters of a token that are searched. A signature of RSA is as long as five of these.
const ENOUGH: usize = 64;

/// The patterns of the secrets of several owners, for one pass over a file.
pub(super) struct Needles {
    automaton: AhoCorasick,
    /// The owners of each pattern, by their indices. A secret that several instances have has several owners.
    owners: Vec<BTreeSet<usize>>,
}

impl std::fmt::Debug for Needles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Needles({})", self.owners.len())
    }
}

impl Needles {
    /// The patterns for each owner's secrets. `None` when there are too many of them for the automaton. Pure.
    pub(super) fn of(secrets: &[Vec<Secret>]) -> Option<Self> {
        let mut needles: BTreeMap<Vec<u8>, BTreeSet<usize>> = BTreeMap::new();
        for (owner, secrets) in secrets.iter().enumerate() {
            for needle in secrets.iter().flat_map(|secret| parts(secret.reveal())).flat_map(forms) {
                needles.entry(needle).or_default().insert(owner);
            }
        }
        let (needles, owners): (Vec<_>, Vec<_>) = needles.into_iter().unzip();
        Some(Self { automaton: AhoCorasick::new(needles).ok()?, owners })
    }

    /// The indices of the owners whose secrets occur in the input, each once. White space does not count, because base64
    /// is wrapped in lines of any length. Reads in pieces, so that a long log takes no memory.
    pub(super) fn found_in(&self, read: impl Read) -> io::Result<BTreeSet<usize>> {
        let mut found = BTreeSet::new();
        for hit in self.automaton.stream_find_iter(Unspaced(read)) {
            found.extend(&self.owners[hit?.pattern().as_usize()]);
        }
        Ok(found)
    }
}

/// An input without its white space.
struct Unspaced<R>(R);

impl<R: Read> Read for Unspaced<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.0.read(buffer)?;
            let mut kept = 0;
            for place in 0..read {
                if !buffer[place].is_ascii_whitespace() {
                    buffer[kept] = buffer[place];
                    kept += 1;
                }
            }
            // Nothing means the end of the input, so a piece of nothing but white space is skipped.
            if kept > 0 || read == 0 {
                return Ok(kept);
            }
        }
    }
}

/// The private keys in a file of a node: PEM blocks, also within base64 in a kubeconfig (`client-key-data`). Pure.
pub(super) fn private_keys(text: &str) -> Vec<Secret> {
    let words = text.split_whitespace().filter(|word| word.starts_with("LS0tLS1CRUdJTi")); // `-----BEGIN `
    let decoded =
        words.filter_map(|word| STANDARD.decode(word).ok().and_then(|it| String::from_utf8(it).ok()));
    let texts = decoded.chain([text.to_owned()]);
    texts.flat_map(|text| blocks(&text).map(Secret::new).collect::<Vec<_>>()).collect()
}

/// The private keys and tokens in the entries of a Secret. Passwords of programs are left out: two clusters may have the
/// same ones on purpose. Pure.
pub(super) fn in_object(kind: &str, data: &BTreeMap<String, ByteString>) -> Vec<Secret> {
    let token = match kind {
        "kubernetes.io/service-account-token" => Some("token"),
        "bootstrap.kubernetes.io/token" => Some("token-secret"),
        _ => None,
    };
    let texts = || data.iter().filter_map(|(name, value)| Some((name, std::str::from_utf8(&value.0).ok()?)));
    let tokens = texts().filter(|(name, _)| token == Some(name.as_str())).map(|(_, text)| Secret::new(text));
    tokens.chain(texts().flat_map(|(_, text)| private_keys(text))).collect()
}

/// The PEM blocks of private keys in a text.
fn blocks(text: &str) -> impl Iterator<Item = &str> {
    const BEGIN: &str = "-----BEGIN ";
    text.match_indices(BEGIN).filter_map(|(start, _)| {
        let block = &text[start..];
        let (label, _) = block[BEGIN.len()..].split_once("-----")?;
        let end = format!("-----END {label}-----");
        let length = block.find(&end)? + end.len();
        label.ends_with("PRIVATE KEY").then(|| &block[..length])
    })
}

/// The parts of a secret that identify it. Pure.
///
/// - Of a key in PEM, the first and the middle line: one of them has the private part for RSA (RFC 8017, A.1.2) and for
///   elliptic curves (RFC 5915), and neither of them is public alone.
/// - Of a key of OpenSSH, the last two lines: the beginning is the same in all of them (its sources, `PROTOCOL.key`).
/// - Of a token, the part after the last dot, the signature or the secret half, and of that the first characters.
fn parts(secret: &str) -> Vec<&str> {
    let found = if secret.contains("-----BEGIN ") {
        let body: Vec<&str> = secret.lines().filter(|line| !line.starts_with("-----")).collect();
        match secret.contains("-----BEGIN OPENSSH ") {
            true => body.rchunks(2).next().unwrap_or_default().to_vec(),
            false => [body.first(), body.get(body.len() / 2)].into_iter().flatten().copied().collect(),
        }
    } else {
        let last = secret.trim().rsplit('.').next().unwrap_or(secret);
        vec![last.get(..ENOUGH).unwrap_or(last)]
    };
    found.into_iter().map(str::trim).filter(|part| part.len() >= DISTINCT).collect()
}

/// A text as it is, within base64 of a longer text, and within base64 of that: a Secret of Kubernetes with a kubeconfig has
/// two layers around a key. A line of PEM is base64 of a part of the DER form, so that part is searched in the same forms
/// (RFC 7468, section 2). All without white space. Pure.
fn forms(text: &str) -> Vec<Vec<u8>> {
    let der = STANDARD_NO_PAD.decode(text).ok().filter(|der| der.len() >= DISTINCT);
    let all = [Some(text.as_bytes().to_vec()), der].into_iter().flatten().flat_map(encoded);
    let twice = encoded(text.as_bytes().to_vec()).into_iter().flat_map(encoded);
    let unspaced =
        |form: Vec<u8>| form.into_iter().filter(|byte| !byte.is_ascii_whitespace()).collect::<Vec<u8>>();
    all.chain(twice).map(unspaced).filter(|form| form.len() >= DISTINCT).collect()
}

/// Bytes as they are, and as they appear within base64 and base64url of a longer text: one form for each of the three
/// positions in a group of three bytes (RFC 4648, sections 4 and 5), without the characters that depend on the
/// surrounding text. Pure.
fn encoded(bytes: Vec<u8>) -> Vec<Vec<u8>> {
    let within = (0..3_usize).flat_map(|before| {
        let longer = [vec![0; before], bytes.clone()].concat();
        let (first, last) = ((before * 8).div_ceil(6), longer.len() * 8 / 6);
        [STANDARD_NO_PAD.encode(&longer), URL_SAFE_NO_PAD.encode(&longer)]
            .map(|encoded| encoded.as_bytes()[first..last].to_vec())
    });
    within.collect::<Vec<_>>().into_iter().chain([bytes]).collect()
}

#[cfg(test)]
mod tests {
    use provisioner::pki::Bundle;

    use super::*;

    #[test]
    fn a_secret_is_found_as_it_is_and_in_base64_at_any_place() {
        let (acme, globex) = (Bundle::make("acme").unwrap(), Bundle::make("globex").unwrap());
        let token = "abcdef.0123456789abcdef";
        let secrets = [vec![acme.cluster.key.clone()], vec![globex.cluster.key.clone(), Secret::new(token)]];
        let needles = Needles::of(&secrets).unwrap();
        let found = |text: &str| Vec::from_iter(needles.found_in(text.as_bytes()).unwrap());
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
        assert!(!format!("{needles:?}").contains(&token[7..]));
    }

    #[test]
    fn a_key_is_found_as_der_and_in_every_alphabet_of_base64() {
        let key = Bundle::make("acme").unwrap().cluster.key;
        let needles = Needles::of(&[vec![Secret::new("another-token-of-acme")], vec![key.clone()]]).unwrap();
        let line: String = key.reveal().lines().filter(|line| !line.starts_with("-----")).collect();
        let der = STANDARD.decode(&line).unwrap();
        let url_safe = URL_SAFE_NO_PAD.encode(&der);
        let again =
            [&der, line.as_bytes()].map(|text| STANDARD.encode([b"before ", text].concat()).into_bytes());
        for text in [der, line.into_bytes(), url_safe.into_bytes()].into_iter().chain(again) {
            let text = [b"before ".to_vec(), text, b" after".to_vec()].concat();
            assert_eq!(Vec::from_iter(needles.found_in(text.as_slice()).unwrap()), [1], "{text:?}");
        }
    }

    #[test]
    fn a_key_is_found_in_two_layers_of_base64_and_in_lines_of_any_length() {
        let key = Bundle::make("acme").unwrap().cluster.key;
        let needles = Needles::of(&[vec![Secret::new("another-token-of-acme")], vec![key.clone()]]).unwrap();
        let once = |text: &str| STANDARD.encode(format!("before {text}"));
        let wrapped = |text: &str, length: usize| {
            let lines = text.as_bytes().chunks(length).map(|line| String::from_utf8_lossy(line).into_owned());
            lines.map(|line| format!("    {line}\r\n")).collect::<String>()
        };
        for layers in [once(key.reveal()), once(&once(key.reveal()))] {
            for length in [10, 64, 76, usize::MAX] {
                let text = wrapped(&layers, length);
                assert_eq!(
                    Vec::from_iter(needles.found_in(text.as_bytes()).unwrap()),
                    [1],
                    "{length}: {text}"
                );
            }
        }
        assert_eq!(Vec::from_iter(needles.found_in("\n \n".as_bytes()).unwrap()), [] as [usize; 0]);
    }

    #[test]
    fn a_secret_that_two_instances_have_belongs_to_both() {
        let needles = Needles::of(&["one", "one"].map(|_| vec![Secret::new("the-same-token")])).unwrap();
        assert_eq!(Vec::from_iter(needles.found_in("the-same-token".as_bytes()).unwrap()), [0, 1]);
    }

    #[test]
    fn private_keys_are_taken_from_files_with_certificates_and_from_kubeconfigs() {
        let acme = Bundle::make("acme").unwrap();
        let (key, certificate) = (acme.cluster.key.reveal().trim(), &acme.cluster.certificate);
        let read =
            |text: &str| private_keys(text).iter().map(|key| key.reveal().to_owned()).collect::<Vec<_>>();
        assert_eq!(read(&format!("{certificate}{key}\n{certificate}")), [key]);
        assert_eq!(read(&format!("client-key-data: {}\n", STANDARD.encode(key))), [key]);
        assert_eq!(read(certificate), [""; 0]);
        assert_eq!(read("-----BEGIN PRIVATE KEY-----\nwithout an end"), [""; 0]);
    }

    #[test]
    fn tokens_and_private_keys_are_taken_from_objects_and_passwords_are_not() {
        let key = Bundle::make("acme").unwrap().cluster.key;
        let data = |entries: &[(&str, &str)]| -> BTreeMap<String, ByteString> {
            let bytes = |text: &str| ByteString(text.as_bytes().to_vec());
            entries.iter().map(|(name, text)| ((*name).to_owned(), bytes(text))).collect()
        };
        let entries = data(&[
            ("token", "a.b.c"),
            ("token-secret", "0123"),
            ("password", "x"),
            ("tls.key", key.reveal()),
        ]);
        let found = |kind| -> Vec<String> {
            in_object(kind, &entries).iter().map(|secret| secret.reveal().trim().to_owned()).collect()
        };
        let key = key.reveal().trim();
        assert_eq!(found("kubernetes.io/service-account-token"), ["a.b.c", key]);
        assert_eq!(found("bootstrap.kubernetes.io/token"), ["0123", key]);
        assert_eq!(found("Opaque"), [key]);
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
        assert_eq!(parts(&format!("eyJh.eyJz.{}\n", "c2lnbmF0".repeat(9))), ["c2lnbmF0".repeat(8)]);
    }
}
