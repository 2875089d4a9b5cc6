//! The keys and tokens in the files of a node and in the objects of a cluster. Pure.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::ByteString;

use crate::audit::Secret;

/// The private keys in a file of a node: PEM blocks, also within base64 in a kubeconfig (`client-key-data`). Pure.
pub(super) fn private_keys(text: &str) -> Vec<Secret> {
    let words = text.split_whitespace().filter(|word| word.starts_with("LS0tLS1CRUdJTi")); // `-----BEGIN `
    let decoded =
        words.filter_map(|word| STANDARD.decode(word).ok().and_then(|it| String::from_utf8(it).ok()));
    let texts = decoded.chain([text.to_owned()]);
    texts.flat_map(|text| blocks(&text, "PRIVATE KEY").map(Secret::new).collect::<Vec<_>>()).collect()
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

/// The PEM blocks in a text whose label ends like this: `PRIVATE KEY`, `CERTIFICATE`. Pure.
pub(super) fn blocks<'t>(text: &'t str, kind: &'static str) -> impl Iterator<Item = &'t str> {
    const BEGIN: &str = "-----BEGIN ";
    text.match_indices(BEGIN).filter_map(move |(start, _)| {
        let block = &text[start..];
        let (label, _) = block[BEGIN.len()..].split_once("-----")?;
        let end = format!("-----END {label}-----");
        let length = block.find(&end)? + end.len();
        label.ends_with(kind).then(|| &block[..length])
    })
}

#[cfg(test)]
mod tests {
    use provisioner::pki::Bundle;

    use super::*;

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
}
