//! The secret numbers of a private key. They are the same bytes in every form of the key: PEM, DER of any kind, OpenSSH's
//! own form, JWK, hexadecimal.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use x509_parser::der_parser::ber::{BerObject, BerObjectContent};
use x509_parser::der_parser::parse_der;

/// The secret numbers of a private key in PEM, big-endian and without leading zeros. Empty for another form of key, such as
/// that of OpenSSH. Pure.
pub(super) fn of_pem(pem: &str) -> Vec<Vec<u8>> {
    let body: String = pem.lines().filter(|line| !line.starts_with("-----")).map(str::trim).collect();
    STANDARD.decode(body).map(|der| of_der(&der)).unwrap_or_default()
}

/// - PKCS #8 (RFC 5208): a key of one of the other kinds in an octet string; for Ed25519, an octet string in an octet string
///   (RFC 8410, section 7).
/// - Elliptic curves (RFC 5915): the number in an octet string after the version 1.
/// - RSA (RFC 8017, A.1.2): version 0, modulus, public exponent, private exponent, both primes.
fn of_der(der: &[u8]) -> Vec<Vec<u8>> {
    let Ok((_, object)) = parse_der(der) else { return Vec::new() };
    if let BerObjectContent::OctetString(seed) = object.content {
        return vec![seed.to_vec()];
    }
    let Ok(parts) = object.as_sequence() else { return Vec::new() };
    let bytes = |part: &BerObject<'_>| match &part.content {
        BerObjectContent::Integer(bytes) | BerObjectContent::OctetString(bytes) => {
            let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
            Some(bytes[zeros..].to_vec())
        }
        _ => None,
    };
    match parts.as_slice() {
        [_, algorithm, inner, ..] if algorithm.as_sequence().is_ok() => match inner.content {
            BerObjectContent::OctetString(inner) => of_der(inner),
            _ => Vec::new(),
        },
        [_, number, ..] if matches!(number.content, BerObjectContent::OctetString(_)) => {
            bytes(number).into_iter().collect()
        }
        [_, _, _, exponent, one, other, ..] => [exponent, one, other].into_iter().filter_map(bytes).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // These keys are of this test only. They were made with openssl, whose `pkey -text` tells the numbers.
    const ELLIPTIC: &str = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgNO33gLlxBbClaAKwf2/rsk7rL+sg+tFChY5cTY9owt\
        qhRANCAAQUgz1mVCSK2EVUb8HUIXCdUIxXDTN2ASA3k28yxxkoRMXX6d12+SZ3AMogcIaTtHvxZKkFeCzNKRQA/LJ/\
        zVUQ";
    const SEC1: &str = "MHcCAQEEIDTt94C5cQWwpWgCsH9v67JO6y/rIPrRQoWOXE2PaMLaoAoGCCqGSM49AwEHoUQDQgAEFIM9ZlQkithFVG\
        /B1CFwnVCMVw0zdgEgN5NvMscZKETF1+nddvkmdwDKIHCGk7R78WSpBXgszSkUAPyyf81VEA==";
    const NUMBER: &str = "34edf780b97105b0a56802b07f6febb24eeb2feb20fad142858e5c4d8f68c2da";
    const RSA: &str = "MIICdgIBADANBgkqhkiG9w0BAQEFAASCAmAwggJcAgEAAoGBAPYoh07K4lBT8fB6B0K73ts8NkoOU1PA3MkYKu9YM6\
        8nUlib6e0gO4+yaq80UHXqd8knAeHsX5plO3am8f77WcA7wLPp/A9xGCNogF7BIvdtQY+uEObGbxtFfw0G8oqdysJX\
        BgC179k19xOsgGWvtKyzqXaHAM4T9c1BdR5kO51BAgMBAAECgYAYqnD8hTnuQKsipKermTW4lC0AeLUC1HWLNP/AYf\
        8z0uXeeSkUmME/IeqsyboyRp9gKad3ov7lcrVlq07edQNGHKWiz8D0dN/d9cZ1AIweDzsz5qa7xA2z+Ob8hWNiFAgS\
        pVgu/M/Mxp31Ljt0K8iUbNoz2UpcaktcsAiBGiepzQJBAP96nTWdC0mhn1R13h6O6uy8PXLQmDJWUdiID2KuVa2Qpr\
        hKqWYJ8Ld6p33wpGXfhwhReQhhIJIyPKDuFQKmN1sCQQD2qQxR6OPiD5uZTpM6zSyIRKTDgqOvrak9wh0WD5nPR9eo\
        IiAwzFAEISH9fxf6FWH1dupLvjZ3hSd5nXxG2byTAkBlULTjvCHr02KiVhP+PmM/+u7Lh5mz7LOMkXi4g7aKnGDhmQ\
        pQ4wRJXyTpNvObSuf8DoNXJV2LXMzabVB7unsdAkEAgV1//KWsfy+4Z9tyFHDvXjjCQVgPCWCHVsCsCJn+DVycmq3r\
        PCyr+r512UIDDUKRse/ASiFk56KKZZpXR8GCyQJAfHeylvpltx7br77fr8wzCc5lifB0m71Cc5eAfjfb30v+9mMkn4\
        YKXgKgMPSp+cOvogYEsQI1wC+vxBvRKHaNNQ==";
    const PKCS1: &str = "MIICXAIBAAKBgQD2KIdOyuJQU/HwegdCu97bPDZKDlNTwNzJGCrvWDOvJ1JYm+ntIDuPsmqvNFB16nfJJwHh7F+aZT\
        t2pvH++1nAO8Cz6fwPcRgjaIBewSL3bUGPrhDmxm8bRX8NBvKKncrCVwYAte/ZNfcTrIBlr7Sss6l2hwDOE/XNQXUe\
        ZDudQQIDAQABAoGAGKpw/IU57kCrIqSnq5k1uJQtAHi1AtR1izT/wGH/M9Ll3nkpFJjBPyHqrMm6MkafYCmnd6L+5X\
        K1ZatO3nUDRhylos/A9HTf3fXGdQCMHg87M+amu8QNs/jm/IVjYhQIEqVYLvzPzMad9S47dCvIlGzaM9lKXGpLXLAI\
        gRonqc0CQQD/ep01nQtJoZ9Udd4ejursvD1y0JgyVlHYiA9irlWtkKa4SqlmCfC3eqd98KRl34cIUXkIYSCSMjyg7h\
        UCpjdbAkEA9qkMUejj4g+bmU6TOs0siESkw4Kjr62pPcIdFg+Zz0fXqCIgMMxQBCEh/X8X+hVh9XbqS742d4UneZ18\
        Rtm8kwJAZVC047wh69NiolYT/j5jP/ruy4eZs+yzjJF4uIO2ipxg4ZkKUOMESV8k6Tbzm0rn/A6DVyVdi1zM2m1Qe7\
        p7HQJBAIFdf/ylrH8vuGfbchRw7144wkFYDwlgh1bArAiZ/g1cnJqt6zwsq/q+ddlCAw1CkbHvwEohZOeiimWaV0fB\
        gskCQHx3spb6Zbce26++36/MMwnOZYnwdJu9QnOXgH43299L/vZjJJ+GCl4CoDD0qfnDr6IGBLECNcAvr8Qb0Sh2jT\
        U=";
    const PRIME: &str = "ff7a9d359d0b49a19f5475de1e8eeaecbc3d72d098325651d8880f62ae55ad90a6b84aa96609f0b77aa77df0a4\
        65df8708517908612092323ca0ee1502a6375b";
    const ED25519: &str = "MC4CAQAwBQYDK2VwBCIEIIWkZDattUyZqQrajIHQbNnAjxaEJpJVUhAURnVxa83m";
    const SEED: &str = "85a46436adb54c99a90ada8c81d06cd9c08f16842692555210144675716bcde6";

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn the_numbers_of_a_key_are_the_same_in_each_kind_of_der() {
        for pem in [ELLIPTIC, SEC1] {
            assert_eq!(of_pem(pem).iter().map(|number| hex(number)).collect::<Vec<_>>(), [NUMBER]);
        }
        assert_eq!(of_pem(RSA), of_pem(PKCS1));
        let numbers = of_pem(RSA);
        assert_eq!((numbers.len(), hex(&numbers[1]).as_str()), (3, PRIME));
        assert_eq!(of_pem(ED25519).iter().map(|seed| hex(seed)).collect::<Vec<_>>(), [SEED]);
        for other in ["", "-----BEGIN PRIVATE KEY-----\nnothing\n", "-----BEGIN PRIVATE KEY-----\nMAA=\n"] {
            assert!(of_pem(other).is_empty(), "{other}");
        }
    }
}
