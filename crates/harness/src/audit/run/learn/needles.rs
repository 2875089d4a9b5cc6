//! The search patterns for the secrets of instances, in every form that needs no other key to read.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};

use aho_corasick::AhoCorasick;
use base64::Engine as _;
use base64::engine::general_purpose::{GeneralPurpose, STANDARD_NO_PAD, URL_SAFE_NO_PAD};

use crate::audit::Secret;

use super::key_numbers;

/// The shortest part of a secret, in characters, that does not occur by accident.
const DISTINCT: usize = 12;
/// The bytes of a number of a key that are searched together. Two or three such parts of it are searched, so that one is
/// whole where lines are wrapped.
const PART: usize = 16;
/// The most parts of a number.
const PARTS: usize = 3;
/// The bytes of a number that are searched together in hexadecimal. Dumps have 16 bytes in a line, so one such part is whole in
/// a line at any offset.
const HEX_PART: usize = 8;
/// The most characters of a token that are searched. A signature of RSA is as long as five of these.
const ENOUGH: usize = 64;

/// What is searched of one owner.
#[derive(Debug, Clone, Default)]
pub(super) struct Wanted {
    /// Keys and tokens.
    pub(super) secrets: Vec<Secret>,
    /// Bytes that are no secret and that only data of the owner has.
    pub(super) traces: Vec<Vec<u8>>,
}

/// What was found: the index of its owner, and whether it is a secret.
pub(super) type Hit = (usize, bool);

/// The patterns of the secrets of several owners, for one pass over a file.
pub(super) struct Needles {
    automaton: AhoCorasick,
    /// The owners of each pattern. A secret that several instances have has several owners.
    owners: Vec<BTreeSet<Hit>>,
}

impl std::fmt::Debug for Needles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Needles({})", self.owners.len())
    }
}

impl Needles {
    /// The patterns for each owner. `None` when there are too many of them for the automaton. Pure.
    pub(super) fn of(wanted: &[Wanted]) -> Option<Self> {
        let mut needles: BTreeMap<Vec<u8>, BTreeSet<Hit>> = BTreeMap::new();
        for (owner, wanted) in wanted.iter().enumerate() {
            for needle in wanted.secrets.iter().flat_map(|secret| patterns(secret.reveal())) {
                needles.entry(needle).or_default().insert((owner, true));
            }
            for needle in wanted.traces.iter().flat_map(|trace| layers(trace, 2)).filter_map(dense) {
                needles.entry(needle).or_default().insert((owner, false));
            }
        }
        let (needles, owners): (Vec<_>, Vec<_>) = needles.into_iter().unzip();
        Some(Self { automaton: AhoCorasick::new(needles).ok()?, owners })
    }

    /// What occurs in the input, each owner once. White space, colons and zero bytes do not count: base64 is wrapped in lines
    /// of any length, hexadecimal has colons, and text of 16 bits zero bytes. Reads in pieces, so that a long log takes no
    /// memory.
    pub(super) fn found_in(&self, read: impl Read) -> io::Result<BTreeSet<Hit>> {
        let mut found = BTreeSet::new();
        for hit in self.automaton.stream_find_iter(Dense(read)) {
            found.extend(&self.owners[hit?.pattern().as_usize()]);
        }
        Ok(found)
    }
}

/// An input without the bytes that do not count.
struct Dense<R>(R);

impl<R: Read> Read for Dense<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.0.read(buffer)?;
            let mut kept = 0;
            for place in 0..read {
                if counts(buffer[place]) {
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

fn counts(byte: u8) -> bool {
    !byte.is_ascii_whitespace() && byte != b':' && byte != 0
}

/// A pattern without the bytes that do not count; `None` if the rest is too short.
fn dense(pattern: Vec<u8>) -> Option<Vec<u8>> {
    let dense: Vec<u8> = pattern.into_iter().filter(|byte| counts(*byte)).collect();
    (dense.len() >= DISTINCT).then_some(dense)
}

/// The patterns of a secret. Pure.
///
/// - Of a private key, its secret numbers: as bytes in both orders, in hexadecimal, and within up to three layers of base64. PEM
///   is one layer, a kubeconfig has two, and a Secret in a file of manifests has three.
/// - Of a key of OpenSSH, the last two lines: the beginning is the same in all of them (its sources, `PROTOCOL.key`).
/// - Of a token, the part after the last dot, the signature or the secret half, and of that the first characters.
fn patterns(secret: &str) -> Vec<Vec<u8>> {
    let numbers = key_numbers::of_pem(secret);
    let of_numbers = numbers.iter().flat_map(|number| of_number(number));
    let lines = if !numbers.is_empty() {
        Vec::new()
    } else if secret.contains("-----BEGIN ") {
        let body: Vec<&str> = secret.lines().filter(|line| !line.starts_with("-----")).collect();
        body.rchunks(2).next().unwrap_or_default().to_vec()
    } else {
        let last = secret.trim().rsplit('.').next().unwrap_or(secret);
        vec![last.get(..ENOUGH).unwrap_or(last)]
    };
    let lines = lines.into_iter().map(str::trim).filter(|line| line.len() >= DISTINCT);
    let of_lines = lines.flat_map(|line| layers(line.as_bytes(), 2).into_iter().chain(decoded(line)));
    of_numbers.chain(of_lines).filter_map(dense).collect()
}

fn of_number(number: &[u8]) -> Vec<Vec<u8>> {
    let parts = number.chunks_exact(PART).take(PARTS);
    let as_bytes = parts.flat_map(|part| {
        let reversed: Vec<u8> = part.iter().rev().copied().collect();
        layers(part, 3).into_iter().chain([reversed])
    });
    let hex_parts = number.chunks_exact(HEX_PART).take(2 * PARTS);
    let hex = hex_parts.flat_map(|part| {
        let lower: String = part.iter().map(|byte| format!("{byte:02x}")).collect();
        [lower.to_uppercase(), lower].map(String::into_bytes)
    });
    as_bytes.chain(hex).collect()
}

/// The bytes of which a line of base64 is the text, as a part of a longer text.
fn decoded(line: &str) -> Option<Vec<u8>> {
    STANDARD_NO_PAD.decode(line).ok()
}

/// Bytes as they are, and within up to this number of layers of base64. The innermost layer may be base64url. Pure.
fn layers(bytes: &[u8], number: usize) -> Vec<Vec<u8>> {
    let mut all = vec![bytes.to_vec()];
    let mut layer = within(bytes, &[&STANDARD_NO_PAD, &URL_SAFE_NO_PAD]);
    for _ in 0..number {
        let next = layer.iter().flat_map(|text| within(text, &[&STANDARD_NO_PAD])).collect();
        all.append(&mut std::mem::replace(&mut layer, next));
    }
    all
}

/// Bytes as they appear within base64 of a longer text: one form for each of the three positions in a group of three bytes
/// (RFC 4648, sections 4 and 5), without the characters that depend on the surrounding text. Pure.
fn within(bytes: &[u8], alphabets: &[&GeneralPurpose]) -> Vec<Vec<u8>> {
    let forms = (0..3_usize).flat_map(|before| {
        let longer = [vec![0; before], bytes.to_vec()].concat();
        let (first, last) = ((before * 8).div_ceil(6), longer.len() * 8 / 6);
        let encoded =
            move |alphabet: &&GeneralPurpose| alphabet.encode(&longer).as_bytes()[first..last].to_vec();
        alphabets.iter().map(encoded).collect::<Vec<_>>()
    });
    forms.collect()
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD;
    use provisioner::pki::Bundle;

    use super::*;

    /// The owners of these secrets.
    fn needles(secrets: &[Vec<Secret>]) -> Needles {
        let wanted = secrets.iter().map(|secrets| Wanted { secrets: secrets.clone(), ..Wanted::default() });
        Needles::of(&wanted.collect::<Vec<_>>()).unwrap()
    }

    /// The indices of the owners whose secrets are in a text.
    fn owners(needles: &Needles, text: &[u8]) -> Vec<usize> {
        let found = needles.found_in(text).unwrap();
        assert!(found.iter().all(|(_, is_secret)| *is_secret));
        found.into_iter().map(|(owner, _)| owner).collect()
    }

    #[test]
    fn a_secret_is_found_as_it_is_and_in_base64_at_any_place() {
        let (acme, globex) = (Bundle::make("acme").unwrap(), Bundle::make("globex").unwrap());
        let token = "abcdef.0123456789abcdef";
        let secrets = [vec![acme.cluster.key.clone()], vec![globex.cluster.key.clone(), Secret::new(token)]];
        let needles = needles(&secrets);
        let found = |text: &str| owners(&needles, text.as_bytes());
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
        let needles = needles(&[vec![Secret::new("another-token-of-acme")], vec![key.clone()]]);
        let line: String = key.reveal().lines().filter(|line| !line.starts_with("-----")).collect();
        let der = STANDARD.decode(&line).unwrap();
        let url_safe = URL_SAFE_NO_PAD.encode(&der);
        let again =
            [&der, line.as_bytes()].map(|text| STANDARD.encode([b"before ", text].concat()).into_bytes());
        for text in [der, line.into_bytes(), url_safe.into_bytes()].into_iter().chain(again) {
            let text = [b"before ".to_vec(), text, b" after".to_vec()].concat();
            assert_eq!(owners(&needles, &text), [1], "{text:?}");
        }
    }

    #[test]
    fn a_key_is_found_in_two_layers_of_base64_and_in_lines_of_any_length() {
        let key = Bundle::make("acme").unwrap().cluster.key;
        let needles = needles(&[vec![Secret::new("another-token-of-acme")], vec![key.clone()]]);
        let once = |text: &str| STANDARD.encode(format!("before {text}"));
        let wrapped = |text: &str, length: usize| {
            let lines = text.as_bytes().chunks(length).map(|line| String::from_utf8_lossy(line).into_owned());
            lines.map(|line| format!("    {line}\r\n")).collect::<String>()
        };
        for layers in [once(key.reveal()), once(&once(key.reveal()))] {
            for length in [10, 64, 76, usize::MAX] {
                let text = wrapped(&layers, length);
                assert_eq!(owners(&needles, text.as_bytes()), [1], "{length}: {text}");
            }
        }
        assert_eq!(owners(&needles, b"\n \n"), [] as [usize; 0]);
    }

    #[test]
    fn a_secret_that_two_instances_have_belongs_to_both() {
        let needles = needles(&["one", "one"].map(|_| vec![Secret::new("the-same-token")]));
        assert_eq!(owners(&needles, b"the-same-token"), [0, 1]);
    }

    #[test]
    fn a_key_is_found_in_every_form_that_has_its_numbers() {
        let key = Bundle::make("acme").unwrap().cluster.key;
        let needles = needles(&[vec![key.clone()]]);
        let number = key_numbers::of_pem(key.reveal()).remove(0);
        let hex = |separator: &str| -> String {
            number.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(separator)
        };
        let dump = |offset: usize| -> String {
            let bytes = [vec![7; offset], number.clone(), vec![9; 5]].concat();
            let line = |(place, bytes): (usize, &[u8])| {
                let pairs: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                format!("{:08x}: {}  ................\n", place * 16, pairs.join(" "))
            };
            bytes.chunks(16).enumerate().map(line).collect()
        };
        let wide = key.reveal().encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
        let reversed: Vec<u8> = number.iter().rev().copied().collect();
        let jwk = format!("{{\"d\":\"{}\"}}", URL_SAFE_NO_PAD.encode(&number));
        let texts = [hex(""), hex(":").to_uppercase(), hex(":\n    "), jwk];
        let dumps = (0..16).map(dump);
        let all = texts.into_iter().chain(dumps).map(String::into_bytes).chain([wide, reversed]);
        for text in all {
            assert_eq!(owners(&needles, &text), [0], "{}", String::from_utf8_lossy(&text));
        }
        assert_eq!(owners(&needles, &hex("").as_bytes()[..12]), [] as [usize; 0]);
    }

    #[test]
    fn traces_are_found_and_are_no_secrets() {
        let wanted = Wanted { traces: vec![b"0f4e2d1c-uid-of-acme".to_vec()], ..Wanted::default() };
        let needles = Needles::of(&[wanted]).unwrap();
        for text in ["uid: 0f4e2d1c-uid-of-acme\n".to_owned(), STANDARD.encode("uid: 0f4e2d1c-uid-of-acme")] {
            assert_eq!(Vec::from_iter(needles.found_in(text.as_bytes()).unwrap()), [(0, false)], "{text}");
        }
    }

    #[test]
    fn only_the_private_lines_of_an_openssh_key_are_searched() {
        let key = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjE\nof-everybody-and-public\nprivate-one-line\n\
                   private-another-line\n-----END OPENSSH PRIVATE KEY-----\n";
        let needles = needles(&[vec![Secret::new(key)]]);
        for (text, found) in [
            ("b3BlbnNzaC1rZXktdjE", false),
            ("of-everybody-and-public", false),
            ("private-one-line", true),
            ("private-another-line", true),
        ] {
            assert_eq!(!owners(&needles, text.as_bytes()).is_empty(), found, "{text}");
        }
    }

    #[test]
    fn texts_too_short_to_be_unique_are_not_searched_and_long_tokens_by_their_first_part() {
        for short in ["-----BEGIN X-----\nshort\n-----END X-----\n", "a.b"] {
            assert!(patterns(short).is_empty(), "{short}");
        }
        let long = format!("eyJh.eyJz.{}\n", "c2lnbmF0".repeat(9));
        assert_eq!(patterns(&long)[0], "c2lnbmF0".repeat(8).into_bytes());
    }
}
