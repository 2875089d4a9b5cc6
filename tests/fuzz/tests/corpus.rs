//! Each target passes with its whole kept corpus, and each target has a corpus.

#![expect(clippy::unwrap_used, reason = "a test that cannot continue fails, also in its helpers")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use fuzz_targets::TARGETS;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz").join(name)
}

fn inputs(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

/// The names of the files in a folder, without extensions.
fn names(folder: &Path) -> BTreeSet<String> {
    let name = |path: &PathBuf| path.file_stem().unwrap().to_str().unwrap().to_owned();
    inputs(folder).iter().map(name).collect()
}

#[test]
fn every_target_takes_its_corpus() {
    for (name, target) in TARGETS {
        let all = inputs(&folder("corpus").join(name));
        assert!(!all.is_empty(), "{name} has no corpus");
        for path in all {
            let target = std::panic::catch_unwind(|| target(&fs::read(&path).unwrap()));
            assert!(target.is_ok(), "{} breaks a property of {name}", path.display());
        }
    }
}

#[test]
fn every_target_is_fuzzed_and_every_corpus_has_its_target() {
    let targets: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names(&folder("corpus")), targets);
    assert_eq!(names(&folder("fuzz_targets")), targets);
}
