//! For any contents of a hosts file, bytes outside our blocks stay.

use proptest::prelude::*;

use unit::without_blocks;

use super::*;

/// Lines as people, editors and other programs write them, and some that are similar to ours.
fn line() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just(b"127.0.0.1\tlocalhost".to_vec()),
        Just(b"# BEGIN ANSIBLE MANAGED BLOCK".to_vec()),
        Just(b"# BEGIN homelab-zzzzzz.acme".to_vec()),
        Just(b"# END homelab-0123456.acme".to_vec()),
        Just(b"# BEGIN homelab-012345.A/B".to_vec()),
        Just("10.0.0.1 bücher".as_bytes().to_vec()),
        prop::collection::vec(any::<u8>().prop_filter("no line breaks", |byte| *byte != b'\n'), 0..40),
    ]
}

/// Contents with both kinds of line break, with or without a last one.
fn contents() -> impl Strategy<Value = Vec<u8>> {
    let ended = (line(), prop_oneof![Just(&b"\n"[..]), Just(&b"\r\n"[..])]);
    let ended = ended.prop_map(|(line, end)| [&line, end].concat());
    (prop::collection::vec(ended, 0..8), prop_oneof![Just(Vec::new()), line()])
        .prop_map(|(lines, last)| [lines.concat(), last].concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn foreign_bytes_survive_every_order_of_changes(
        foreign in contents(),
        steps in prop::collection::vec((any::<bool>(), 0usize..3), 1..12),
    ) {
        let host = Host::with(&foreign);
        for (add, which) in steps {
            let name = ["acme", "acme-1", "globex"][which];
            if add { host.add(name).unwrap() } else { host.remove(name).unwrap() };
            prop_assert_eq!(without_blocks(&host.bytes(), host.home().id().as_str()), foreign.clone());
        }
        for name in ["acme", "acme-1", "globex"] {
            host.remove(name).unwrap();
        }
        prop_assert_eq!(host.bytes(), foreign);
    }
}
